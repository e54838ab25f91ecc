using FusionKernels.Execution;
using FusionKernels.Planning;
using FusionKernels.Recipes;

namespace FusionKernels.Methods;

/// <summary>What a method does with a base model.</summary>
public enum BaseUse
{
    /// <summary>The method has no base; a recipe's base_model only donates config and tokenizer.</summary>
    None,

    /// <summary>The method merges differences from a base when the recipe names one, else the models as they are.</summary>
    Optional,

    /// <summary>A base is one more model to merge, after the listed ones unless it is among them.</summary>
    AsModel,

    /// <summary>The method merges differences from a base, which the recipe must name.</summary>
    Required,
}

/// <summary>How a method treats embeddings of different vocabulary sizes.</summary>
public enum VocabularyRule
{
    /// <summary>All are cut to the fewest rows.</summary>
    CommonRows,

    /// <summary>All are cut to the base's rows; a model with fewer is an error.</summary>
    BaseRows,

    /// <summary>Different sizes are an error.</summary>
    Equal,
}

/// <summary>Which storage dtype a tensor gets when the recipe names none.</summary>
public enum DtypeRule
{
    /// <summary>The base's.</summary>
    Base,

    /// <summary>The promotion of all inputs', as torch promotes.</summary>
    Promoted,
}

/// <summary>
/// A merge method: its name and parameters, and how it merges one tensor. A new method is one file in this folder and one line in
/// <see cref="MergeMethods"/>.
/// </summary>
public abstract class MergeMethod
{
    /// <summary>Name in recipes (<c>merge_method</c>).</summary>
    public abstract string Name { get; }

    /// <summary>One line for people: what it does, and whose paper it is.</summary>
    public abstract string Summary { get; }

    /// <summary>Whether it needs a base.</summary>
    public abstract BaseUse Base { get; }

    /// <summary>Fewest models, a base not counted.</summary>
    public virtual int MinModels => 1;

    /// <summary>Fewest models besides the base where the recipe names one.</summary>
    public virtual int MinModelsOnBase => MinModels;

    /// <summary>Most models besides the base.</summary>
    public virtual int MaxModels => int.MaxValue;

    /// <summary>The parameters it takes.</summary>
    public abstract IReadOnlyList<Parameter> Parameters { get; }

    /// <summary>What happens to embeddings of different vocabulary sizes.</summary>
    public virtual VocabularyRule Vocabulary => VocabularyRule.CommonRows;

    /// <summary>The output dtype when the recipe names none.</summary>
    public virtual DtypeRule OutputDtype => Base == BaseUse.Required ? DtypeRule.Base : DtypeRule.Promoted;

    /// <summary>Why a model's parameters for one tensor cannot be used, or <c>null</c>; asked before anything is written.</summary>
    internal virtual string? Objection(Recipe recipe, PlannedSource model) => null;

    /// <summary>What a careful user should know about the planned tensors, one line each.</summary>
    internal virtual IEnumerable<string> Warnings(IEnumerable<PlannedTensor> tensors) => [];

    /// <summary>
    /// Whether a tensor that the base lacks is planned from the models' own, with a base of <c>null</c>; else it is an error.
    /// </summary>
    internal virtual bool TakesWithoutBase(string name) => false;

    /// <summary>
    /// The output's tensors: one for each that was planned, by the same name, unless the method writes something else.
    /// </summary>
    internal virtual MergeDraft Arrange(MergeDraft draft) => draft;

    /// <summary>
    /// Whether merging a tensor draws a random number for each of its elements in a model, with the values that its
    /// parameters have there.
    /// </summary>
    internal virtual bool DrawsAtRandom(PlannedSource model) => false;

    /// <summary>
    /// Looks at the whole model before any tensor is merged, for methods whose statistics span all tensors. What it
    /// returns is handed to every <see cref="MergeTensor"/> as <see cref="TensorMerge.ModelState"/>. It must be deterministic: a
    /// resumed run computes it again.
    /// </summary>
    internal virtual object? Survey(ModelSurvey model) => null;

    /// <summary>Merges one tensor: any number of passes that gather statistics, then exactly one that writes.</summary>
    internal abstract void MergeTensor(TensorMerge tensor);
}

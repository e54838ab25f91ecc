namespace FusionKernels.Methods;

/// <summary>What a method does with a base model.</summary>
public enum BaseUse
{
    /// <summary>The method has no base; a recipe's base_model only donates config and tokenizer.</summary>
    None,

    /// <summary>The method merges differences from a base, which the recipe must name.</summary>
    Required,
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

    /// <summary>Fewest models besides the base.</summary>
    public virtual int MinModels => 1;

    /// <summary>Most models besides the base.</summary>
    public virtual int MaxModels => int.MaxValue;

    /// <summary>The parameters it takes.</summary>
    public abstract IReadOnlyList<Parameter> Parameters { get; }
}

using System.Text;
using FusionKernels.Models.Lora;
using FusionKernels.Planning;
using FusionKernels.Recipes;
using FusionKernels.Tokenizers;

namespace FusionKernels.Execution;

/// <summary>
/// The small files that make a folder of shards a model: its config, the donor's tokenizer and generation settings as
/// they are, a model card, and the recipe.
/// </summary>
internal static class ModelFiles
{
    /// <summary>Name of the recipe in the output; mergekit's, so that its tools find it.</summary>
    public const string RecipeFile = "mergekit_config.yml";

    /// <summary>Name of the recipe of a mixture; mergekit's too.</summary>
    public const string MoeRecipeFile = "mergekit_moe_config.yml";

    private const string CardFile = "README.md";

    private static readonly string[] Copied =
        ["preprocessor_config.json", "processor_config.json", "video_preprocessor_config.json"];

    /// <summary>Every name that a merge may write besides shards and index.</summary>
    public static IEnumerable<string> Names =>
        [ModelConfig.FileName, CardFile, LoraConfig.FileName, RecipeFile, MoeRecipeFile, .. Tokenizer.FileNames, .. Copied];

    /// <summary>The files of a plan's output, by name.</summary>
    /// <exception cref="MergeException">A file of the donor is not what its name says.</exception>
    public static IReadOnlyList<(string Name, byte[] Bytes)> Of(MergePlan plan)
    {
        var donor = plan.Donor.Input;
        var files = new List<(string, byte[])>();
        if (plan.Config.Json is { } config)
            files.Add((ModelConfig.FileName, JsonFile.Write(config)));
        files.AddRange(TokenizerFiles(plan));
        files.AddRange(donor.ReadFiles(Copied));
        files.Add((plan.Recipe.Moe is null ? RecipeFile : MoeRecipeFile, Encoding.UTF8.GetBytes(plan.Recipe.ToYaml())));
        files.Add((CardFile, Encoding.UTF8.GetBytes(Card(plan))));
        return files;
    }

    // A template of the recipe's own stands in the file that loaders read first, and in the settings where older ones
    // look.
    private static IEnumerable<(string Name, byte[] Bytes)> TokenizerFiles(MergePlan plan)
    {
        var files = plan.Tokenizer?.Files() ?? Tokenizer.FilesOf(plan.Donor.Input);
        if (plan.ChatTemplate is not { } template)
            return files;
        return files.Where(f => f.Name is not (ChatTemplate.File or ChatTemplate.OldFile))
            .Select(f => f.Name == Tokenizer.ConfigFile ? (f.Name, WithTemplate(f.Bytes)) : f)
            .Append((ChatTemplate.File, Encoding.UTF8.GetBytes(template)));

        byte[] WithTemplate(byte[] settings)
        {
            var json = JsonFile.Parse(settings, Tokenizer.ConfigFile);
            json["chat_template"] = template;
            return JsonFile.Write(json);
        }
    }

    private static string Card(MergePlan plan)
    {
        var models = plan.Models.Concat(plan.Base is null ? [] : [plan.Base]).Distinct().ToArray();
        var card = new StringBuilder();
        card.Append("---\nbase_model:\n");
        foreach (var model in models)
            card.Append("- ").Append(YamlText.Quote(model.Path)).Append('\n');
        card.Append("tags:\n- merge\n- fusionkernels\n---\n\n# Merged model\n\n");
        card.Append("Merged by FusionKernels with the method **").Append(plan.Method.Name).Append("**: ").Append(plan.Method.Summary).Append(".\n\n");
        if (plan.Base is not null)
            card.Append("Base: `").Append(plan.Base.Path).Append("`\n\n");
        card.Append("Models:\n\n");
        foreach (var model in plan.Models)
            card.Append("* `").Append(model.Path).Append("`\n");
        card.Append("\nRecipe:\n\n```yaml\n").Append(plan.Recipe.ToYaml().TrimEnd()).Append("\n```\n");
        return card.ToString();
    }
}

using FusionKernels.Recipes;

namespace FusionKernels;

/// <summary>The merge API.</summary>
public static class Merge
{
    /// <summary>
    /// Runs a recipe: plans every output byte, merges tensor by tensor in bounded memory, and writes a checkpoint folder that
    /// Hugging Face loaders open. The output's index (or its single file) appears last; until then no loader takes the
    /// folder for a model. An interrupted run resumes from its finished shards when called again with the same recipe.
    /// </summary>
    /// <param name="recipe">What to merge.</param>
    /// <param name="output">Folder to write; created when missing.</param>
    /// <param name="options">How to run.</param>
    /// <param name="progress">Told about ten times a second, from a worker thread.</param>
    /// <param name="cancellation">Stops between chunks; finished shards stay, the unfinished one is removed.</param>
    /// <exception cref="MergeException">The recipe, the models or the output cannot be used.</exception>
    /// <exception cref="Safetensors.SafetensorsException">An input is no valid safetensors file.</exception>
    /// <exception cref="OperationCanceledException">It was cancelled.</exception>
    public static Task<MergeReport> RunAsync(
        Recipe recipe,
        string output,
        MergeOptions? options = null,
        IProgress<MergeProgress>? progress = null,
        CancellationToken cancellation = default) => throw new NotImplementedException();
}

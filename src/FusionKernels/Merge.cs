using FusionKernels.Execution;
using FusionKernels.Kernels.Cpu;
using FusionKernels.Planning;
using FusionKernels.Recipes;
using FusionKernels.Safetensors;

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
    /// <exception cref="SafetensorsException">An input is no valid safetensors file.</exception>
    /// <exception cref="SourceUnavailableException">An input is missing or cannot be read.</exception>
    /// <exception cref="SourceChangedException">An input changed under way.</exception>
    /// <exception cref="OutputUnavailableException">The output cannot be created.</exception>
    /// <exception cref="OutputBusyException">Another process is writing the output.</exception>
    /// <exception cref="IOException">The device failed or is full.</exception>
    /// <exception cref="OperationCanceledException">It was cancelled.</exception>
    public static Task<MergeReport> RunAsync(
        Recipe recipe,
        string output,
        MergeOptions? options = null,
        IProgress<MergeProgress>? progress = null,
        CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(recipe);
        ArgumentException.ThrowIfNullOrEmpty(output);
        options ??= new MergeOptions();

        // A thread of its own: it becomes a worker and computes for as long as the merge takes.
        return Task.Factory.StartNew(
            () => Run(recipe, output, options, progress, cancellation),
            cancellation,
            TaskCreationOptions.LongRunning,
            TaskScheduler.Default);
    }

    private static MergeReport Run(
        Recipe recipe,
        string output,
        MergeOptions options,
        IProgress<MergeProgress>? progress,
        CancellationToken cancellation)
    {
        try
        {
            using var models = new OpenModels(options, recipe.Steps);
            var plan = Planner.Plan(recipe, options, models.Open, cancellation);
            OutputFolder.RefuseInside(output, models.Shards);
            var report = Run(plan, options, new DirectoryOutputStore(output), output, null, progress, cancellation);
            var unused = models.Unused.Select(n => recipe.Remark($"no model is '{n}', so that recipe is not run"));
            return report with { Warnings = [.. report.Warnings, .. unused] };
        }
        catch (MergeException e) when (e.Kind == MergeError.Recipe && recipe.Origin is { } file)
        {
            throw e.At(file);
        }
    }

    /// <summary>Executes a plan into a store; random masks are the recipe's own unless others are given.</summary>
    internal static MergeReport Run(
        MergePlan plan,
        MergeOptions options,
        IOutputStore store,
        string output,
        IRandomMasks? masks,
        IProgress<MergeProgress>? progress,
        CancellationToken cancellation)
    {
        var backend = options.Backend ?? new CpuBackend();
        var files = ModelFiles.Of(plan);
        using var folder = OutputFolder.Open(store, output, plan.Layout, PlanRecord.Of(plan, options), options.Restart);
        using var executor = new Executor(plan, options, masks, backend, progress, cancellation);
        int reused = folder.Finished.Count;
        var remaining = plan.Layout.Shards.Where(s => !folder.Finished.ContainsKey(s.FileName)).ToArray();
        long needed = remaining.Sum(s => s.FileLength);
        if (needed > store.FreeBytes)
            throw new IOException($"{output}: the merge needs {needed} bytes more, the device has {store.FreeBytes} free");

        foreach (var tensor in plan.Layout.Shards.Except(remaining).SelectMany(s => s.Tensors))
        {
            executor.Progress.Bytes(tensor.ByteLength);
            executor.Progress.TensorDone();
        }

        foreach (var shard in folder.Finished.Values)
            Judge(shard, options, output);
        if (remaining.Length > 0)
            executor.Survey();
        foreach (var shard in remaining)
            Write(plan, executor, folder, shard, record => Judge(record, options, output));
        if (!folder.IsComplete)
            folder.Complete(plan.Layout, files);
        executor.Progress.Report();
        return new MergeReport
        {
            Output = output,
            Method = plan.Method.Name,
            Tensors = plan.Tensors.Count,
            Shards = plan.Layout.Shards.Count,
            ShardsReused = reused,
            BytesWritten = needed,
            BytesRead = executor.BytesRead,
            Elapsed = executor.Progress.Elapsed,
            Backend = backend.Name,
            NonFinite =
            [
                .. folder.Finished.OrderBy(s => s.Key, StringComparer.Ordinal).SelectMany(s =>
                    s.Value.NonFinite.OrderBy(t => t.Key, StringComparer.Ordinal).Select(t => (t.Key, t.Value))),
            ],
            Warnings =
            [
                .. plan.Recipe.Warnings,
                .. plan.Steps.Append(plan).SelectMany(p => p.Warnings.Select(p.Recipe.Remark)),
                .. folder.Warnings,
                .. DeviceFailure.Warnings(executor.DeviceFailures),
            ],
        };
    }

    private static void Judge(ShardRecord shard, MergeOptions options, string output)
    {
        if (options.NonFinite != NonFiniteValues.Fail || shard.NonFinite.Count == 0)
            return;
        var (tensor, count) = shard.NonFinite.OrderBy(t => t.Key, StringComparer.Ordinal).First();
        throw new MergeException(
            MergeError.Models,
            $"{Path.Combine(output, shard.File)}: {tensor}: holds NaN or infinities ({count} of its elements), which this merge must not write");
    }

    // A shard counts only if its sources are still what they were when it is done; otherwise its partial file goes.
    private static void Write(
        MergePlan plan, Executor executor, OutputFolder folder, ShardLayout shard, Action<ShardRecord> judge)
    {
        try
        {
            ShardRecord record;
            using (var file = folder.Begin(shard))
                record = executor.Write(shard, file);
            foreach (var input in plan.InputShards)
                input.Source.CheckUnchanged();
            judge(record);
            folder.Publish(record);
        }
        catch
        {
            folder.Abandon(shard);
            throw;
        }
    }
}

using System.CommandLine;
using System.Text.Json.Nodes;
using FusionKernels.Safetensors;

namespace FusionKernels.Cli.Commands;

/// <summary><c>fusion inspect PATH</c>: what a checkpoint holds. Reads headers only.</summary>
internal sealed class InspectCommand : ToolCommand
{
    private readonly Argument<string> _path = new("PATH")
    {
        Description = "A checkpoint folder, an index, a safetensors file, or a file of torch.save",
    };

    public InspectCommand()
        : base("inspect", "List the tensors of a checkpoint")
    {
        Add(_path);
    }

    /// <inheritdoc/>
    protected override Task<int> RunAsync(ParseResult parsed, Terminal terminal, CancellationToken cancellation)
    {
        using var checkpoint = Checkpoint.Open(parsed.GetRequiredValue(_path));
        foreach (string warning in checkpoint.Warnings)
            Terminal.Warn(warning);
        if (terminal.Json)
            terminal.WriteJson(Document(checkpoint));
        else
            WriteText(checkpoint, terminal);
        return Task.FromResult(ExitCodes.Ok);
    }

    private static void WriteText(Checkpoint checkpoint, Terminal terminal)
    {
        var tensors = new Table("tensor", "dtype", "shape", ">bytes", "shard");
        foreach (var tensor in checkpoint.Tensors)
        {
            tensors.Add(
                tensor.Name,
                tensor.Dtype.WireName(),
                $"[{string.Join(", ", tensor.Shape)}]",
                $"{tensor.ByteLength}",
                Path.GetFileName(tensor.Shard.Path));
        }

        tensors.WriteTo(terminal);
        terminal.Out.WriteLine();
        foreach (var (key, value) in checkpoint.Metadata)
            terminal.Out.WriteLine(Terminal.Printable($"metadata  {key} = {value}"));
        foreach (var group in checkpoint.Tensors.GroupBy(tensor => tensor.Dtype).OrderByDescending(Bytes))
            terminal.Out.WriteLine($"{group.Key.WireName()}  {Summary(group)}");
        terminal.Out.WriteLine(
            $"total  {Summary(checkpoint.Tensors)} in {Terminal.Count(checkpoint.Shards.Count, "shard")}");
    }

    private static string Summary(IEnumerable<CheckpointTensor> tensors) =>
        $"{Terminal.Count(tensors.Count(), "tensor")}, {tensors.Sum(t => t.ElementCount):N0} elements, "
        + ByteSize.Format(Bytes(tensors));

    private static long Bytes(IEnumerable<CheckpointTensor> tensors) => tensors.Sum(tensor => tensor.ByteLength);

    private static JsonObject Document(Checkpoint checkpoint) => new()
    {
        ["folder"] = checkpoint.Folder,
        ["shards"] = new JsonArray([.. checkpoint.Shards.Select(shard => new JsonObject
        {
            ["file"] = Path.GetFileName(shard.Path),
            ["bytes"] = shard.Source.Length,
            ["data_offset"] = shard.DataOffset,
            ["metadata"] = new JsonObject(shard.Metadata.Select(m => KeyValuePair.Create(m.Key, (JsonNode?)m.Value))),
        })]),
        ["tensors"] = new JsonArray([.. checkpoint.Tensors.Select(tensor => new JsonObject
        {
            ["name"] = tensor.Name,
            ["dtype"] = tensor.Dtype.WireName(),
            ["shape"] = new JsonArray([.. tensor.Shape.Select(dimension => JsonValue.Create(dimension))]),
            ["bytes"] = tensor.ByteLength,
            ["shard"] = Path.GetFileName(tensor.Shard.Path),
            ["offset"] = tensor.Shard.DataOffset + tensor.Info.Begin,
        })]),
        ["total_tensors"] = checkpoint.Tensors.Count,
        ["total_elements"] = checkpoint.Tensors.Sum(tensor => tensor.ElementCount),
        ["total_bytes"] = Bytes(checkpoint.Tensors),
    };
}

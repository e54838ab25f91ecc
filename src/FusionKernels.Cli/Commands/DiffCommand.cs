using System.CommandLine;
using System.Globalization;
using System.Text.Json.Nodes;
using FusionKernels.Safetensors;

namespace FusionKernels.Cli.Commands;

/// <summary><c>fusion diff A B</c>: how two checkpoints differ, tensor by tensor.</summary>
internal sealed class DiffCommand : ToolCommand
{
    private readonly Argument<string> _left = new("A") { Description = "A checkpoint; relative figures refer to it" };
    private readonly Argument<string> _right = new("B") { Description = "The other one" };
    private readonly Option<bool> _changed = new("--changed") { Description = "List only tensors that differ" };

    public DiffCommand()
        : base("diff", "Compare two checkpoints tensor by tensor")
    {
        Add(_left);
        Add(_right);
        Add(_changed);
    }

    /// <inheritdoc/>
    protected override async Task<int> RunAsync(ParseResult parsed, Terminal terminal, CancellationToken cancellation)
    {
        var diff = await CheckpointDiff.RunAsync(
            parsed.GetRequiredValue(_left), parsed.GetRequiredValue(_right), cancellation: cancellation);
        var listed = diff.Tensors.Where(tensor => !parsed.GetValue(_changed) || !tensor.IsIdentical).ToArray();
        if (terminal.Json)
            terminal.WriteJson(Document(diff, listed));
        else
            WriteText(diff, listed, terminal);
        return ExitCodes.Ok;
    }

    private static void WriteText(CheckpointDiff diff, TensorDifference[] listed, Terminal terminal)
    {
        if (listed.Length > 0)
        {
            var table = new Table("tensor", "dtype", "shape", ">changed", ">max abs", ">rel norm", ">cosine");
            foreach (var tensor in listed)
            {
                table.Add(
                    tensor.Name,
                    Pair(tensor.LeftDtype.WireName(), tensor.RightDtype.WireName()),
                    Pair($"[{string.Join(", ", tensor.LeftShape)}]", $"[{string.Join(", ", tensor.RightShape)}]"),
                    tensor.Values is { } values ? $"{values.Changed}" : "-",
                    Figure(MaxAbsolute(tensor)),
                    Figure(tensor.RelativeNorm),
                    Figure(tensor.Cosine));
            }

            table.WriteTo(terminal);
            terminal.Out.WriteLine();
        }

        foreach (string name in diff.OnlyLeft)
            terminal.Out.WriteLine(Terminal.Printable($"only in A  {name}"));
        foreach (string name in diff.OnlyRight)
            terminal.Out.WriteLine(Terminal.Printable($"only in B  {name}"));
        var total = Total(diff);
        int changed = diff.Tensors.Count(tensor => !tensor.IsIdentical);
        int apart = Incomparable(diff);
        string which = apart == 0 ? ";" : $", {apart} of them in shape or kind; of the others";
        terminal.Out.WriteLine(diff.IsIdentical
            ? $"identical: {Terminal.Count(diff.Tensors.Count, "tensor")}, every bit"
            : $"{changed} of {Terminal.Count(diff.Tensors.Count, "common tensor")} differ{which} "
                + $"max abs {Figure(MaxAbsolute(total))}, rel norm {Figure(total.RelativeNorm)}, "
                + $"cosine {Figure(total.Cosine)}; {diff.OnlyLeft.Count} only in A, {diff.OnlyRight.Count} only in B");
    }

    // All numeric tensors as one long vector; without values where there is none.
    private static TensorDifference Total(CheckpointDiff diff)
    {
        var sum = default(Kernels.Difference);
        foreach (var tensor in diff.Tensors.Where(tensor => tensor.IsNumeric))
            sum.Add(tensor.Values!.Value);
        return new TensorDifference("", Dtype.F32, Dtype.F32, [], [], sum.Elements > 0 ? sum : null);
    }

    // Tensors of other shapes, or of kinds that have no common values.
    private static int Incomparable(CheckpointDiff diff) => diff.Tensors.Count(tensor => tensor.Values is null);

    private static double MaxAbsolute(TensorDifference tensor) =>
        tensor.IsNumeric ? tensor.Values!.Value.MaxAbsolute : double.NaN;

    private static string Pair(string left, string right) => left == right ? left : $"{left} / {right}";

    private static string Figure(double value) =>
        double.IsNaN(value) ? "-" : value.ToString("G6", CultureInfo.InvariantCulture);

    // JSON has no NaN and no infinity.
    private static JsonNode? Number(double value) => double.IsFinite(value) ? value : null;

    private static JsonObject Document(CheckpointDiff diff, TensorDifference[] listed)
    {
        var total = Total(diff);
        return new JsonObject
        {
            ["identical"] = diff.IsIdentical,
            ["tensors"] = new JsonArray([.. listed.Select(tensor => new JsonObject
            {
                ["name"] = tensor.Name,
                ["left_dtype"] = tensor.LeftDtype.WireName(),
                ["right_dtype"] = tensor.RightDtype.WireName(),
                ["left_shape"] = Shape(tensor.LeftShape),
                ["right_shape"] = Shape(tensor.RightShape),
                ["elements"] = tensor.Values?.Elements,
                ["changed"] = tensor.Values?.Changed,
                ["non_finite"] = tensor.IsNumeric ? tensor.Values?.NonFinite : null,
                ["max_abs"] = Number(MaxAbsolute(tensor)),
                ["relative_norm"] = Number(tensor.RelativeNorm),
                ["cosine"] = Number(tensor.Cosine),
            })]),
            ["only_left"] = new JsonArray([.. diff.OnlyLeft.Select(name => JsonValue.Create(name))]),
            ["only_right"] = new JsonArray([.. diff.OnlyRight.Select(name => JsonValue.Create(name))]),
            ["incomparable"] = Incomparable(diff),
            ["max_abs"] = Number(MaxAbsolute(total)),
            ["relative_norm"] = Number(total.RelativeNorm),
            ["cosine"] = Number(total.Cosine),
        };
    }

    private static JsonArray Shape(IReadOnlyList<long> shape) =>
        new([.. shape.Select(dimension => JsonValue.Create(dimension))]);
}

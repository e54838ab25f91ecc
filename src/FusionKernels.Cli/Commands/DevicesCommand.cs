using System.CommandLine;
using System.Text.Json.Nodes;
using FusionKernels.Kernels;

namespace FusionKernels.Cli.Commands;

/// <summary><c>fusion devices</c>: where kernels can run on this machine.</summary>
internal sealed class DevicesCommand : ToolCommand
{
    public DevicesCommand()
        : base("devices", "List the devices that kernels run on, and measure how fast each copies its memory")
    {
    }

    /// <inheritdoc/>
    protected override Task<int> RunAsync(ParseResult parsed, Terminal terminal, CancellationToken cancellation)
    {
        Row[] rows = [.. Backends.Devices().Select(Measure)];
        if (terminal.Json)
        {
            terminal.WriteJson(new JsonArray([.. rows.Select(Document)]));
            return Task.FromResult(ExitCodes.Ok);
        }

        var table = new Table("device", "name", ">memory", ">copy", "kernels");
        foreach (var row in rows)
        {
            bool usable = row.Problem is null;
            string memory = usable ? ByteSize.Format(row.MemoryBytes) : "-";
            table.Add(row.Device, row.Name, memory, usable ? ByteSize.Format(row.CopyRate) + "/s" : "-", row.Problem ?? "all");
        }

        table.WriteTo(terminal);
        if (Backends.Missing is { } missing)
            terminal.Out.WriteLine(missing);
        return Task.FromResult(ExitCodes.Ok);
    }

    // A device that cannot be used is listed with the reason.
    private static Row Measure(string device)
    {
        try
        {
            using var backend = Backends.Open(device);
            return new Row(device, backend.Name, backend.MemoryBytes, backend.MeasureCopy(), null);
        }
        catch (Exception e) when (e is MergeException or DeviceException)
        {
            return new Row(device, "", 0, 0, e.Message);
        }
    }

    private static JsonObject Document(Row row) => new()
    {
        ["device"] = row.Device,
        ["name"] = row.Name,
        ["memory_bytes"] = row.MemoryBytes,
        ["copy_bytes_per_second"] = row.CopyRate,
        ["problem"] = row.Problem,
    };

    private sealed record Row(string Device, string Name, long MemoryBytes, double CopyRate, string? Problem);
}

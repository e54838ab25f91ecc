namespace FusionKernels.Cli;

/// <summary>
/// Rows in aligned columns: the same text on a terminal and in a pipe, whatever its width, so that grep and awk can
/// read it.
/// </summary>
internal sealed class Table
{
    private readonly string[] _headers;
    private readonly bool[] _right;
    private readonly List<string[]> _rows = [];

    /// <summary>A table with columns. A header that begins with '>' is for a column aligned to the right.</summary>
    public Table(params string[] headers)
    {
        _right = [.. headers.Select(header => header.StartsWith('>'))];
        _headers = [.. headers.Select(header => header.TrimStart('>'))];
    }

    /// <summary>Adds a row; one cell per column.</summary>
    public void Add(params string[] cells)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(cells.Length, _headers.Length);
        _rows.Add([.. cells.Select(Terminal.Printable)]);
    }

    /// <summary>Writes header and rows, two spaces between columns and none at a line's end.</summary>
    public void WriteTo(Terminal terminal)
    {
        int[] widths = [.. _headers.Select((header, i) => _rows.Append(_headers).Max(row => row[i].Length))];
        terminal.Out.WriteLine(terminal.Bold(Line(_headers)));
        foreach (var row in _rows)
            terminal.Out.WriteLine(Line(row));

        string Line(string[] cells) => string.Join("  ", cells.Select((cell, i) =>
            _right[i] ? cell.PadLeft(widths[i]) : cell.PadRight(widths[i]))).TrimEnd();
    }
}

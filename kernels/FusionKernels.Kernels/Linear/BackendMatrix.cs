namespace FusionKernels.Kernels;

/// <summary>A matrix that a backend's kernels use where it is.</summary>
public sealed class BackendMatrix : IDisposable
{
    // A device reads eight elements at once, where they begin at a multiple of eight.
    private const int Group = 8;

    private readonly List<BackendMemory> _memory = [];

    /// <summary>A matrix of any contents, stored by rows.</summary>
    /// <param name="backend">Whose memory it lies in.</param>
    /// <param name="type">Type of its elements.</param>
    /// <param name="rows">Number of rows.</param>
    /// <param name="columns">Number of columns.</param>
    public BackendMatrix(IKernelBackend backend, ElementType type, int rows, int columns)
    {
        ArgumentNullException.ThrowIfNull(backend);
        ArgumentOutOfRangeException.ThrowIfNegative(rows);
        ArgumentOutOfRangeException.ThrowIfNegative(columns);
        View = Allocate(backend, type, rows, columns);
    }

    private BackendMatrix(IStreamTeam team, Matrix matrix)
    {
        matrix.Check();
        if (team.Backend.Holds(matrix.Data) && (!matrix.Base.Exists || team.Backend.Holds(matrix.Base)))
        {
            View = matrix;
            return;
        }

        Matrix stored = matrix.IsRowMajor ? matrix : matrix.Transposed;
        try
        {
            Matrix data = Bring(stored with { Base = default });
            if (matrix.Base.Exists)
                data = data with { Base = Bring(stored with { Data = stored.Base, Base = default }).Data };
            View = matrix.IsRowMajor ? data : data.Transposed;
        }
        catch
        {
            Dispose();
            throw;
        }

        Matrix Bring(Matrix source)
        {
            Matrix target = Allocate(team.Backend, source.Data.Type, source.Rows, source.Columns);
            team.Run(1, (stream, _) => stream.Copy(source, target));
            return target;
        }
    }

    /// <summary>The matrix; valid until <see cref="Dispose"/>.</summary>
    public Matrix View { get; }

    /// <summary>
    /// A matrix and its base, brought to the team's backend once; the same ones where it holds them already.
    /// </summary>
    public static BackendMatrix Of(IStreamTeam team, Matrix matrix) => new(team, matrix);

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (BackendMemory memory in _memory)
            memory.Dispose();
    }

    private Matrix Allocate(IKernelBackend backend, ElementType type, int rows, int columns)
    {
        nint stride = (columns + Group - 1) / Group * Group;
        BackendMemory memory = backend.Allocate(Math.Max(1, rows * stride * type.Size()));
        _memory.Add(memory);
        return new Matrix(new Operand(type, memory.Address), rows, columns, stride);
    }
}

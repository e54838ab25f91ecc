using FusionKernels.Kernels;
using FusionKernels.Safetensors;

namespace FusionKernels.Models;

/// <summary>
/// What an expert's tensor has more than the base's, as an operand of products: a matrix whose rows are the first
/// dimension. Both tensors are in memory until it is disposed, unless they are mapped. Without a base it is the
/// expert's own tensor.
/// </summary>
internal sealed unsafe class DeltaMatrix : IDisposable
{
    private readonly ModelTensor? _basis;
    private readonly ModelTensor _expert;
    private readonly TensorMemory _baseMemory, _expertMemory;

    /// <summary>Reads both tensors.</summary>
    /// <param name="basis">The base's, or <c>null</c>.</param>
    /// <param name="expert">The expert's, of two or more dimensions, none of them 0; both floating-point data.</param>
    /// <exception cref="MergeException">The shapes differ or are too large.</exception>
    public DeltaMatrix(ModelTensor? basis, ModelTensor expert)
    {
        (_basis, _expert) = (basis, expert);
        if (basis is not null && !basis.Shape.SequenceEqual(expert.Shape))
        {
            string shape = string.Join(", ", expert.Shape), expected = string.Join(", ", basis.Shape);
            throw Broken($"has the shape [{shape}], in the base [{expected}]");
        }

        long rows = expert.Shape[0], columns = expert.ElementCount / rows;
        if (Math.Max(rows, columns) > int.MaxValue)
            throw Broken("has more than 2^31 - 1 rows or columns");

        // Memory that nothing is read into is never touched, so it costs nothing where files are mapped.
        _baseMemory = new TensorMemory(basis?.ByteLength ?? 0);
        _expertMemory = new TensorMemory(expert.ByteLength);
        try
        {
            View = new Matrix(Fetch(expert, _expertMemory), (int)rows, (int)columns)
            {
                Base = basis is null ? default : Fetch(basis, _baseMemory),
            };
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>expert - base, or the expert.</summary>
    public Matrix View { get; }

    /// <summary>Factors the matrix.</summary>
    /// <exception cref="MergeException">It holds what cannot be factored.</exception>
    public T Factor<T>(Func<Matrix, T> factorization)
    {
        try
        {
            return factorization(View);
        }
        catch (ArithmeticException)
        {
            string what = _basis is null ? "holds" : "differs from the base by";
            throw Broken($"{what} NaN, infinity, or more than fp32 can multiply");
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _baseMemory.Dispose();
        _expertMemory.Dispose();
    }

    // SAFETY: the memory is the tensor's length; it, or the map, outlives the operand.
    private static Operand Fetch(ModelTensor tensor, TensorMemory memory) => new(
        Elements.Of(tensor.Dtype)!.Value, tensor.Fetch(0, (nint)tensor.ByteLength, memory.Address));

    private MergeException Broken(string rule) =>
        new(MergeError.Models, $"{_expert.Path}: tensor '{_expert.Name}' {rule}");
}

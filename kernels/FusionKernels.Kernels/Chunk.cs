namespace FusionKernels.Kernels;

/// <summary>
/// What every kernel of the families combine, reduce and select works on: the elements
/// <c>[First, First + Length)</c> of one tensor, in a base and in N models. The kernel sees for model i the value
/// <c>v_i = scale_i * (mask_i * (x_i - base))</c>, or <c>scale_i * (mask_i * x_i)</c> where there is no base;
/// each operation rounds to fp32 by itself. A mask is a factor 1 or 0, so a masked NaN or infinity gives NaN, as the
/// literature's code does.
/// </summary>
public readonly ref struct Chunk
{
    /// <summary>
    /// Index of the first element within its tensor. Random masks and ties at a magnitude threshold depend on it.
    /// </summary>
    public required long First { get; init; }

    /// <summary>Number of elements; zero is allowed and does nothing.</summary>
    public required int Length { get; init; }

    /// <summary>The base's elements, or <c>default</c> when the models' own values are meant.</summary>
    public Operand Base { get; init; }

    /// <summary>The models, in recipe order: sums over models run in this order.</summary>
    public required ReadOnlySpan<Source> Sources { get; init; }

    /// <summary>The same elements of other inputs.</summary>
    public Chunk With(Operand basis, ReadOnlySpan<Source> sources) =>
        new() { First = First, Length = Length, Base = basis, Sources = sources };

    internal void Check()
    {
        ArgumentOutOfRangeException.ThrowIfNegative(First);
        ArgumentOutOfRangeException.ThrowIfNegative(Length);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(First, long.MaxValue - Length);
    }

    internal void CheckCombine(Operand output)
    {
        Check();
        if (Length == 0)
            return;
        ArgumentOutOfRangeException.ThrowIfZero(output.Address);
        foreach (ref readonly Source source in Sources)
            ArgumentOutOfRangeException.ThrowIfZero(source.Data.Address);
    }

    internal void CheckMask(int bytes)
    {
        Check();
        ArgumentOutOfRangeException.ThrowIfZero(Sources.Length);
        ArgumentOutOfRangeException.ThrowIfNotEqual(First % 8, 0);
        ArgumentOutOfRangeException.ThrowIfLessThan(bytes, (int)(((long)Length + 7) / 8));
    }
}

/// <summary>One model's part of a <see cref="Chunk"/>.</summary>
/// <param name="Data">The model's elements.</param>
public readonly record struct Source(Operand Data)
{
    /// <summary>Which elements take part.</summary>
    public Mask Mask { get; init; }

    /// <summary>Factor on the masked delta, the "rescale" of DARE; 1 by default.</summary>
    public float Scale { get; init; } = 1;

    /// <summary>The model's weight in a combine rule; reductions and selections ignore it.</summary>
    public float Weight { get; init; } = 1;
}

namespace FusionKernels.Kernels.Ilgpu.DeviceCode;

/// <summary>How elements of a <see cref="TensorOperand"/> get into shared memory, eight neighbours at a time.</summary>
internal interface ITensorElements
{
    /// <summary>How many bf16 numbers, each some 2^-8 of the one before, add up to an element: 1 or 2.</summary>
    static abstract int Planes { get; }

    /// <summary>Begins to bring eight elements.</summary>
    /// <param name="operand">The matrix.</param>
    /// <param name="index">Where the first lies; a multiple of eight.</param>
    /// <param name="count">How many there are, 0 to 8; zeros stand for the others.</param>
    /// <param name="shared">Their place in shared memory.</param>
    static abstract StoredGroup Fetch(in TensorOperand operand, long index, int count, uint shared);

    /// <summary>
    /// Puts them into their places, the second plane's <paramref name="plane"/> bytes after the first's.
    /// </summary>
    static abstract void Put(in StoredGroup group, int count, uint shared, uint plane);
}

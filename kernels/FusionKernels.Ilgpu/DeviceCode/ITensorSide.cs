namespace FusionKernels.Kernels.Ilgpu.DeviceCode;

/// <summary>
/// One operand's part of a slab in shared memory: 128 lines by 16 or 32 steps, in pieces of 16 bytes, eight neighbours
/// in memory. The tensor cores' loads read eight such pieces at once, of eight lines or of eight steps, so a line's
/// (or a step's) pieces are exchanged in a pattern that puts any eight of them into different banks. All places are
/// multiples of 16 within slabs at multiples of 128, which is why bits of a place may be turned over where a piece's
/// number moves.
/// </summary>
internal interface ITensorSide
{
    /// <inheritdoc cref="ITensorElements.Planes"/>
    static abstract int Planes { get; }

    /// <summary>Whether steps lie by lines.</summary>
    static abstract bool IsTransposed { get; }

    /// <summary>Where the piece with a line's step lies; one of them is a multiple of eight.</summary>
    static abstract uint Place(int line, int step, int depth);

    /// <summary>The place so many lines and steps on; both are multiples of 16.</summary>
    static abstract uint Move(uint place, int lines, int steps, int depth);

    /// <summary>Where this thread's pieces begin.</summary>
    static abstract SlabCursor Start(in TensorOperand operand, int line, int step, int depth, uint slab);

    /// <summary>Begins to bring this thread's pieces.</summary>
    static abstract SlabGroups Fetch(in SlabCursor cursor, in TensorOperand operand, int end, int depth);

    /// <summary>Puts them into their places.</summary>
    static abstract void Put(in SlabGroups groups, in SlabCursor cursor, in TensorOperand operand, int end, int depth);
}

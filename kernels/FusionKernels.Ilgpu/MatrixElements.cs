using FusionKernels.Kernels.Ilgpu.DeviceCode;

namespace FusionKernels.Kernels.Ilgpu;

/// <summary>Goes from a matrix's storage types to its elements.</summary>
internal static class MatrixElements
{
    /// <summary>Calls <paramref name="action"/> with the elements of a matrix.</summary>
    public static void Select<TAction>(in Matrix matrix, in TAction action)
        where TAction : struct, IElementsAction, allows ref struct
    {
        var chosen = new Chosen<TAction>(action);
        if (matrix.Base.Exists)
            Codec.Select(matrix.Data.Type, matrix.Base.Type, chosen);
        else
            Codec.Select(matrix.Data.Type, ref chosen);
    }

    private readonly ref struct Chosen<TAction>(TAction action) : ICodecAction, ICodecPairAction
        where TAction : struct, IElementsAction, allows ref struct
    {
        private readonly TAction _action = action;

        public void Invoke<TCodec>()
            where TCodec : struct, ICodec => _action.Invoke<StoredElements<TCodec>>();

        public void Invoke<TFirst, TSecond>()
            where TFirst : struct, ICodec
            where TSecond : struct, ICodec => _action.Invoke<DeltaElements<TFirst, TSecond>>();
    }
}

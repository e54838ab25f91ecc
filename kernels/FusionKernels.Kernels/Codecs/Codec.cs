using System.Runtime.CompilerServices;

namespace FusionKernels.Kernels;

/// <summary>Codecs over memory, and the one place that goes from an <see cref="ElementType"/> to its codec.</summary>
public static unsafe class Codec
{
    /// <summary>Reads <see cref="ICpuLanes{T}.Count"/> consecutive elements of any alignment as fp32.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T Load<TCodec, T>(byte* source)
        where TCodec : struct, ICodec
        where T : struct, ICpuLanes<T> => TCodec.Decode(T.Load(source, TCodec.Size));

    /// <summary>Rounds fp32 lanes and writes them as consecutive elements.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store<TCodec, T>(byte* destination, T value)
        where TCodec : struct, ICodec
        where T : struct, ICpuLanes<T> => T.Store(TCodec.Encode(value), destination, TCodec.Size);

    /// <summary>Calls <paramref name="action"/> with the codec of a storage type.</summary>
    public static void Select<TAction>(ElementType type, ref TAction action)
        where TAction : struct, ICodecAction, allows ref struct
    {
        switch (type)
        {
            case ElementType.F32:
                action.Invoke<F32Codec>();
                break;
            case ElementType.F16:
                action.Invoke<F16Codec>();
                break;
            case ElementType.BF16:
                action.Invoke<BF16Codec>();
                break;
            case ElementType.F64:
                action.Invoke<F64Codec>();
                break;
            case ElementType.F8E4M3:
                action.Invoke<F8E4M3Codec>();
                break;
            case ElementType.F8E5M2:
                action.Invoke<F8E5M2Codec>();
                break;
            default:
                throw new ArgumentOutOfRangeException(nameof(type), type, null);
        }
    }

    /// <summary>Calls <paramref name="action"/> with the codecs of two storage types.</summary>
    public static void Select<TAction>(ElementType first, ElementType second, in TAction action)
        where TAction : struct, ICodecPairAction, allows ref struct
    {
        var firstChosen = new FirstChosen<TAction>(second, action);
        Select(first, ref firstChosen);
    }

    private readonly ref struct FirstChosen<TAction>(ElementType second, TAction action) : ICodecAction
        where TAction : struct, ICodecPairAction, allows ref struct
    {
        private readonly TAction _action = action;

        public void Invoke<TFirst>()
            where TFirst : struct, ICodec
        {
            var bothChosen = new BothChosen<TFirst, TAction>(_action);
            Select(second, ref bothChosen);
        }
    }

    private readonly ref struct BothChosen<TFirst, TAction>(TAction action) : ICodecAction
        where TFirst : struct, ICodec
        where TAction : struct, ICodecPairAction, allows ref struct
    {
        private readonly TAction _action = action;

        public void Invoke<TSecond>()
            where TSecond : struct, ICodec => _action.Invoke<TFirst, TSecond>();
    }
}

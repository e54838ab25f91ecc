namespace FusionKernels.Kernels;

/// <summary>Code that is generic over two storage types; <see cref="Codec"/> chooses which.</summary>
public interface ICodecPairAction
{
    /// <summary>Runs with the chosen codecs.</summary>
    void Invoke<TFirst, TSecond>()
        where TFirst : struct, ICodec
        where TSecond : struct, ICodec;
}

namespace FusionKernels.Kernels;

/// <summary>Code that is generic over one storage type; <see cref="Codec"/> chooses which.</summary>
public interface ICodecAction
{
    /// <summary>Runs with the chosen codec.</summary>
    void Invoke<TCodec>()
        where TCodec : struct, ICodec;
}

using FusionKernels.Kernels.Ilgpu.DeviceCode;

namespace FusionKernels.Kernels.Ilgpu;

internal sealed partial class IlgpuStream
{
    public void Copy(in Matrix source, in Matrix output)
    {
        Matrix.CheckCopy(source, output);
        Begin(Room(source) + Room(output));
        var arguments = new CopyArguments { Source = BringMatrix(source), Output = BringOutput(output, isRead: false) };
        if (source.Data.Type != output.Data.Type)
            Codec.Select(source.Data.Type, output.Data.Type, new Conversion(this, arguments));
        else
            Move(arguments, source.Data.Type.Size());
        Finish(output, arguments.Output);
    }

    private void Move(in CopyArguments arguments, int size)
    {
        long length = (long)arguments.Output.Rows * arguments.Output.Columns;
        switch (size)
        {
            case 1:
                Launch(CopyKernels.Move<byte>, arguments, length);
                break;
            case 2:
                Launch(CopyKernels.Move<ushort>, arguments, length);
                break;
            case 4:
                Launch(CopyKernels.Move<uint>, arguments, length);
                break;
            default:
                Launch(CopyKernels.Move<ulong>, arguments, length);
                break;
        }
    }

    private readonly struct Conversion(IlgpuStream stream, CopyArguments arguments) : ICodecPairAction
    {
        public void Invoke<TFirst, TSecond>()
            where TFirst : struct, ICodec
            where TSecond : struct, ICodec
        {
            long length = (long)arguments.Output.Rows * arguments.Output.Columns;
            stream.Launch(CopyKernels.Convert<TFirst, TSecond>, arguments, length);
        }
    }
}

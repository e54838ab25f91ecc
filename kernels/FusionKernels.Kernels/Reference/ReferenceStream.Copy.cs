namespace FusionKernels.Kernels.Reference;

internal sealed unsafe partial class ReferenceStream
{
    // SAFETY: the matrices hold their elements.
    public void Copy(in Matrix source, in Matrix output)
    {
        Matrix.CheckCopy(source, output);
        int size = source.Data.Type.Size();
        for (int i = 0; i < source.Rows; i++)
        {
            for (int j = 0; j < source.Columns; j++)
            {
                Operand from = source.Slice(i, j, 1, 1).Data, to = output.Slice(i, j, 1, 1).Data;
                if (from.Type == to.Type)
                    new ReadOnlySpan<byte>((void*)from.Address, size).CopyTo(new Span<byte>((void*)to.Address, size));
                else
                    Element.Write(to, 0, Element.Read(from, 0));
            }
        }
    }
}

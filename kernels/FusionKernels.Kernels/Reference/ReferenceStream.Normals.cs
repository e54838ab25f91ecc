namespace FusionKernels.Kernels.Reference;

internal sealed partial class ReferenceStream
{
    public void Normals(Philox stream, long first, in Matrix output)
    {
        Matrix.CheckNormals(first, output);
        for (int row = 0; row < output.Rows; row++)
        {
            for (int column = 0; column < output.Columns; column++)
            {
                long element = first + ((long)row * output.Columns) + column, even = element & ~1L;
                var pair = BoxMuller.Pair(stream.Word(even), stream.Word(even + 1));
                Element.Write(output.Slice(row, column, 1, 1).Data, 0, element == even ? pair.Even : pair.Odd);
            }
        }
    }
}

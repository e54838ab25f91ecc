namespace FusionKernels.Kernels.Reference;

internal sealed partial class ReferenceStream
{
    public void Combine<TRule>(in Chunk chunk, in TRule rule, Operand output)
        where TRule : struct, ICombineRule
    {
        chunk.CheckCombine(output);
        for (int i = 0; i < chunk.Length; i++)
        {
            var origin = new F32x1(chunk.Base.Exists ? Element.Read(chunk.Base, i) : 0);
            var sums = default(Accumulators<F32x1>);
            foreach (ref readonly Source source in chunk.Sources)
                rule.Add(ref sums, new F32x1(Element.Value(chunk, source, i)), new F32x1(source.Weight));
            Element.Write(output, i, rule.Finish(sums, origin).Value);
        }
    }
}

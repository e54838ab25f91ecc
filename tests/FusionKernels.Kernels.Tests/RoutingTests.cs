using FsCheck;
using FsCheck.Fluent;

namespace FusionKernels.Kernels.Tests;

/// <summary>From scores to experts, weights and the sort by expert.</summary>
[TestFixture]
public sealed unsafe class RoutingTests
{
    [Test]
    public void Weights_are_the_softmax_over_the_largest_ones_in_doubles()
    {
        float[] scores = [1, 2.5f, 0, 2, 7, 7.5f, 80, 90];
        Routing routing = Chosen(scores, experts: 4, topK: 3);
        Assert.That(routing.Chosen.ToArray(), Is.EqualTo(new[] { 1, 3, 0, 3, 2, 1 }));
        for (int token = 0; token < 2; token++)
        {
            double[] exponentials = [.. scores.Skip(4 * token).Take(4).Select(s => Math.Exp(s - 90))];
            double[] chosen = [.. routing.Chosen.Slice(3 * token, 3).ToArray().Select(e => exponentials[e])];
            for (int i = 0; i < 4; i++)
            {
                double probability = exponentials[i] / exponentials.Sum();
                Assert.That(routing.Probabilities[(4 * token) + i], Is.EqualTo(probability).Within(1e-6 * probability));
            }

            for (int slot = 0; slot < 3; slot++)
            {
                double weight = chosen[slot] / chosen.Sum();
                Assert.That(routing.Weights[(3 * token) + slot], Is.EqualTo(weight).Within(1e-6 * weight));
            }
        }
    }

    [TestCase(new float[] { 3, 3, 3 }, new[] { 0, 1 })]
    [TestCase(new float[] { 1, 4, 4 }, new[] { 1, 2 })]
    [TestCase(new float[] { 4, 1, 4 }, new[] { 0, 2 })]
    [TestCase(new float[] { 0, 200, 1 }, new[] { 1, 0 })]
    [TestCase(new float[] { 1, float.NaN, 2 }, new[] { 0, 1 })]
    [TestCase(new float[] { 1, 2, float.PositiveInfinity }, new[] { 0, 1 })]
    public void Ties_go_to_the_lower_expert(float[] scores, int[] expected)
    {
        Routing routing = Chosen(scores, experts: 3, topK: 2);
        Assert.That(routing.Chosen.ToArray(), Is.EqualTo(expected));
        bool finite = scores.All(float.IsFinite);
        Assert.That(routing.Weights.ToArray(), finite ? Has.None.NaN : Is.All.NaN);
    }

    [Test]
    public void One_expert_has_weight_one_whatever_its_score()
    {
        Routing routing = Chosen([float.NaN, 3], experts: 1, topK: 1);
        Assert.That(routing.Weights.ToArray(), Is.EqualTo(new float[] { 1, 1 }));
        Assert.That(routing.Probabilities.ToArray(), Is.EqualTo(new float[] { 1, 1 }));
    }

    [Test]
    public void Places_are_sorted_by_expert_and_keep_their_order_within()
    {
        Prop.ForAll(
            ArbMap.Default.ArbFor<byte[]>(),
            ArbMap.Default.ArbFor<byte>(),
            (bytes, more) =>
            {
                int experts = 1 + (more % 7), topK = 1 + (more / 7 % experts);
                float[] scores = [.. bytes.Take(bytes.Length / experts * experts).Select(b => b / 16f)];
                Routing routing = Chosen(scores, experts, topK);
                int[] chosen = routing.Chosen.ToArray(), starts = routing.Starts.ToArray();
                int[] expected = [.. Enumerable.Range(0, chosen.Length).OrderBy(i => chosen[i])];
                bool counts = Enumerable.Range(0, experts + 1).All(e => starts[e] == chosen.Count(c => c < e));
                bool distinct = chosen.Chunk(topK).All(c => c.Distinct().Count() == topK);
                return routing.Order.SequenceEqual(expected) && counts && distinct;
            }).QuickCheckThrowOnFailure();
    }

    private static Routing Chosen(float[] scores, int experts, int topK)
    {
        // Nothing of the layer is read.
        var element = new Operand(ElementType.F32, 1);
        Expert expert = new(new Matrix(element, 1, 1)) { Down = new(element, 1, 1), Gate = new(element, 1, 1) };
        var layer = new GatedLinear(new Matrix(element, 1, 1), default, [.. Enumerable.Repeat(expert, experts)], topK);
        var routing = new Routing();
        routing.Prepare(layer, scores.Length / experts);
        scores.CopyTo(routing.Scores);
        routing.Choose();
        return routing;
    }
}

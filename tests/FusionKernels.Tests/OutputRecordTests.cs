using FusionKernels.Execution;

namespace FusionKernels.Tests;

public class OutputRecordTests
{
    [Test]
    public void Any_flipped_bit_makes_the_record_unreadable()
    {
        byte[] bytes = new OutputRecord
        {
            Version = "0.1.0",
            Plan = new PlanRecord { Numerics = 1, Recipe = "merge_method: linear\n", Seed = 7, Lenient = false, Sources = [], Layout = [] },
            Shards = [new ShardRecord("model.safetensors", 100, 1, new Dictionary<string, uint> { ["w"] = 2 }, new Dictionary<string, long>())],
            Files = new Dictionary<string, FileRecord> { ["config.json"] = new(10, 3) },
        }.ToBytes();
        Assert.That(OutputRecord.Parse(bytes)!.Shards[0].Tensors["w"], Is.EqualTo(2));
        for (int bit = 0; bit < bytes.Length * 8; bit++)
        {
            bytes[bit / 8] ^= (byte)(1 << (bit % 8));
            Assert.That(OutputRecord.Parse(bytes), Is.Null, $"bit {bit}");
            bytes[bit / 8] ^= (byte)(1 << (bit % 8));
        }
    }
}

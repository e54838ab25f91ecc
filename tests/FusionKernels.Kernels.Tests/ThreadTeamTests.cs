namespace FusionKernels.Kernels.Tests;

public class ThreadTeamTests
{
    [Test]
    public void A_team_has_the_size_that_is_asked_for_as_far_as_it_is_of_use()
    {
        int processors = Environment.ProcessorCount;
        Assert.That(ThreadTeam.Size(0), Is.EqualTo(processors));
        Assert.That(ThreadTeam.Size(1), Is.EqualTo(1));
        Assert.That(ThreadTeam.Size(64), Is.EqualTo(64));
        Assert.That(ThreadTeam.Size(int.MaxValue), Is.EqualTo(Math.Max(64, 4 * processors)));
        Assert.That(() => ThreadTeam.Size(-1), Throws.TypeOf<ArgumentOutOfRangeException>());
    }
}

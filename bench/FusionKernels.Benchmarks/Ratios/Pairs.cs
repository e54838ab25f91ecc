using System.Diagnostics;

namespace FusionKernels.Benchmarks.Ratios;

/// <summary>Times of an anchor and of ours, taken by turns so that both see the same state of the machine.</summary>
/// <param name="Anchor">Seconds of each anchor run.</param>
/// <param name="Ours">Seconds of each of our runs.</param>
internal sealed record Pairs(double[] Anchor, double[] Ours)
{
    // OpenBLAS's threads look for work for 0.1 s after a call (measured), each on a core that ours would lack.
    private const int PauseMilliseconds = 200;

    /// <summary>Runs each once to warm up, then in pairs, each after a pause.</summary>
    /// <param name="anchor">Runs the anchor and returns its seconds.</param>
    /// <param name="ours">Runs ours and returns its seconds.</param>
    /// <param name="count">How many pairs: an odd number, larger for runs that are short.</param>
    public static Pairs Measure(Func<double> anchor, Func<double> ours, int count = 5)
    {
        anchor();
        ours();
        var pairs = new Pairs(new double[count], new double[count]);
        for (int i = 0; i < count; i++)
            (pairs.Anchor[i], pairs.Ours[i]) = (AfterPause(anchor), AfterPause(ours));
        return pairs;
    }

    /// <summary>
    /// Seconds of a run, after one that is not counted: it wakes the threads, which takes a tick of the system's clock
    /// now and then.
    /// </summary>
    /// <param name="run">What is timed.</param>
    /// <param name="repetitions">How many runs the mean is of.</param>
    public static double Seconds(Action run, int repetitions = 1)
    {
        run();
        var watch = Stopwatch.StartNew();
        for (int i = 0; i < repetitions; i++)
            run();
        return watch.Elapsed.TotalSeconds / repetitions;
    }

    private static double AfterPause(Func<double> run)
    {
        Thread.Sleep(PauseMilliseconds);
        return run();
    }

    /// <summary>The middle one of an odd number of times.</summary>
    public static double Median(double[] seconds) => seconds.Order().ElementAt(seconds.Length / 2);
}

// Most of a test's time is a child process; fixtures share nothing, so they run side by side.
[assembly: Parallelizable(ParallelScope.Fixtures)]
[assembly: LevelOfParallelism(4)]

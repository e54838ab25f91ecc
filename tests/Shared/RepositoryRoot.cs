namespace FusionKernels.Tests;

/// <summary>The folder of FusionKernels.sln, found by walking up from the test assembly.</summary>
internal static class RepositoryRoot
{
    public static string Path { get; } = Find();

    private static string Find()
    {
        for (var folder = new DirectoryInfo(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
        {
            if (File.Exists(System.IO.Path.Combine(folder.FullName, "FusionKernels.sln")))
                return folder.FullName;
        }

        throw new DirectoryNotFoundException("The tests must run from a build output inside the repository.");
    }
}

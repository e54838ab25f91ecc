namespace FusionKernels.Safetensors.Tests;

/// <summary>The folder of FusionKernels.sln, found by walking up from the test assembly.</summary>
internal static class RepositoryRoot
{
    public static string Path { get; } = Find(AppContext.BaseDirectory);

    private static string Find(string folder) =>
        File.Exists(System.IO.Path.Combine(folder, "FusionKernels.sln"))
            ? folder
            : Find(Directory.GetParent(folder)!.FullName);
}

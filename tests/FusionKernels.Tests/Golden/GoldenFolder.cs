using System.Text.Json;

namespace FusionKernels.Tests.Golden;

/// <summary>A folder of golden cases: <c>manifest.json</c> and the files it names.</summary>
/// <param name="Name">Path below its root with '/', which begins every test's name.</param>
/// <param name="Location">The folder.</param>
/// <param name="Manifest">The manifest.</param>
internal sealed record GoldenFolder(string Name, string Location, JsonElement Manifest)
{
    /// <summary>An environment variable that names a further folder of cases.</summary>
    public const string Variable = "FUSIONKERNELS_GOLDEN";

    private static readonly Lazy<IReadOnlyList<GoldenFolder>> s_manifests = new(() => [.. Read("manifest.json")]);

    /// <summary>Every folder with a manifest.</summary>
    public static IReadOnlyList<GoldenFolder> All => s_manifests.Value;

    /// <summary>mergekit's tensor cases.</summary>
    public static IEnumerable<GoldenFolder> TensorCases =>
        All.Where(f => f.Manifest.TryGetProperty("input_key", out _));

    /// <summary>mergekit's whole recipes.</summary>
    public static IEnumerable<GoldenFolder> Recipes =>
        All.Where(f => f.Manifest.TryGetProperty("format", out var format)
            && format.ValueKind == JsonValueKind.String && format.ValueEquals("mergekit-recipes"));

    /// <summary>Cases of single kernels and formulas.</summary>
    public static IEnumerable<GoldenFolder> Kernels => All.Where(f => f.Manifest.TryGetProperty("conventions", out _));

    /// <summary>The <c>golden.json</c> files, whose manifest is the file itself.</summary>
    public static IEnumerable<GoldenFolder> Formulas => Read("golden.json");

    /// <summary>The cases of the repository.</summary>
    public static string Shipped => Path.Combine(RepositoryRoot.Path, "tests", "golden");

    /// <summary>Reads a list of records from one of the manifest's arrays.</summary>
    public IEnumerable<JsonElement> Records(string array) =>
        Manifest.TryGetProperty(array, out var records) ? records.EnumerateArray() : [];

    /// <summary>The tensors of a file of the folder.</summary>
    public GoldenFile Tensors(string file) => GoldenFile.Open(Path.Combine(Location, file));

    private static IEnumerable<GoldenFolder> Read(string fileName)
    {
        string? further = Environment.GetEnvironmentVariable(Variable);
        string[] roots = string.IsNullOrEmpty(further) ? [Shipped] : [Shipped, Path.GetFullPath(further)];
        foreach (string root in roots)
        {
            string[] files = Directory.GetFiles(root, fileName, SearchOption.AllDirectories);
            foreach (string file in files.Order(StringComparer.Ordinal))
            {
                string folder = Path.GetDirectoryName(file)!;
                string name = Path.GetRelativePath(root, folder).Replace('\\', '/');
                string prefix = root == Shipped ? "" : Path.GetFileName(root) + "/";
                var manifest = JsonDocument.Parse(File.ReadAllBytes(file)).RootElement;
                yield return new GoldenFolder((prefix + name).TrimEnd('/', '.'), folder, manifest);
            }
        }
    }
}

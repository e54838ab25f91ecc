using System.Reflection;
using System.Runtime.InteropServices;
using System.Text.RegularExpressions;

namespace FusionKernels.Tests;

/// <summary>
/// The layers of ARCHITECTURE.md, read from the built assemblies: arrows point down only, and a new dependency is a
/// decision that shows up here.
/// </summary>
[TestFixture]
public sealed class ArchitectureTests
{
    /// <summary>Each layer, with everything it may reference besides the .NET runtime itself.</summary>
    private static readonly Dictionary<string, string[]> AllowedReferences = new()
    {
        ["FusionKernels.Safetensors"] = [],
        ["FusionKernels.Kernels"] = ["System.Numerics.Tensors"],
        ["FusionKernels.Ilgpu"] = ["FusionKernels.Kernels", "ILGPU", "ILGPU.Algorithms"],
        ["FusionKernels"] = ["FusionKernels.Kernels", "FusionKernels.Safetensors", "System.Numerics.Tensors", "YamlDotNet"],
    };

    /// <summary>The ILGPU layer is absent from a build without ILGPU; every other layer must be there.</summary>
    private static IEnumerable<string> Layers() => AllowedReferences.Keys.Where(name =>
        name != "FusionKernels.Ilgpu" || File.Exists(Path.Combine(AppContext.BaseDirectory, name + ".dll")));

    [TestCaseSource(nameof(Layers))]
    public void A_layer_references_only_the_layers_and_packages_below_it(string layer)
    {
        var references = Assembly.Load(layer).GetReferencedAssemblies()
            .Select(reference => reference.Name!)
            .Where(name => !File.Exists(Path.Combine(RuntimeEnvironment.GetRuntimeDirectory(), name + ".dll")));

        Assert.That(references, Is.SubsetOf(AllowedReferences[layer]));
    }

    [TestCaseSource(nameof(Layers))]
    public void A_type_is_named_for_what_it_is_not_for_being_of_use(string layer)
    {
        // Whole words of a Pascal-case name: CommonPrefix is caught, Commonwealth not. '<' starts compiler-made types.
        var vague = new Regex("(Util|Utils|Utility|Utilities|Helper|Helpers|Manager|Managers|Common)(?![a-z])");
        var names = Assembly.Load(layer).GetTypes().Select(type => type.Name).Where(name => !name.StartsWith('<'));

        Assert.That(names.Where(name => vague.IsMatch(name)), Is.Empty);
    }
}

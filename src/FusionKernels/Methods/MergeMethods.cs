using System.Diagnostics.CodeAnalysis;

namespace FusionKernels.Methods;

/// <summary>The method table: every merge method by its name.</summary>
public static class MergeMethods
{
    /// <summary>All methods, in the order people are shown them.</summary>
    public static IReadOnlyList<MergeMethod> All { get; } =
    [
        new Linear(),
        new TaskArithmeticMethod(),
        new Ties(),
        new DareLinear(),
        new DareTies(),
        new Breadcrumbs(),
        new BreadcrumbsTies(),
        new DellaLinear(),
        new Della(),
        new Slerp(),
        new NuSlerp(),
        new MultiSlerp(),
        new Karcher(),
        new ModelStock(),
        new Sce(),
        new NearSwapMethod(),
        new Emr(),
        new SmileMethod(),
        new ArceeFusion(),
        new Ram(),
        new RamPlus(),
        new Passthrough(),
    ];

    /// <summary>Finds a method by name.</summary>
    public static bool TryGet(string name, [NotNullWhen(true)] out MergeMethod? method) =>
        (method = All.FirstOrDefault(m => m.Name == name)) is not null;
}

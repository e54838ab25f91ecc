using System.Numerics;
using System.Reflection;
using FusionKernels.Kernels.Ilgpu;
using FusionKernels.Kernels.Ilgpu.DeviceCode;

namespace FusionKernels.Kernels.Tests.Devices;

/// <summary>
/// The kernels of the ILGPU project: static methods that take one struct of arguments. A generic one is closed with
/// every combination of the project's types that fit, of storage types with one.
/// </summary>
internal static class DeviceKernels
{
    private static readonly Type[] Structs =
    [
        .. new[] { typeof(IlgpuBackend).Assembly, typeof(IKernelBackend).Assembly }
            .SelectMany(assembly => assembly.GetTypes())
            .Where(type => type is { IsValueType: true, IsEnum: false }),
    ];

    /// <summary>All of them, with a name for people.</summary>
    public static IEnumerable<(string Name, MethodInfo Method)> All() =>
        from type in typeof(IlgpuBackend).Assembly.GetTypes()
        where type is { IsAbstract: true, IsSealed: true, Namespace: "FusionKernels.Kernels.Ilgpu.DeviceCode" }
        from closedType in Closed(type)
        from method in closedType.GetMethods(BindingFlags.Public | BindingFlags.Static)
        where IsKernel(method)
        from closed in Closed(method)
        select ($"{Name(closed.DeclaringType!)}.{closed.Name}{Arguments(closed.GetGenericArguments())}", closed);

    private static bool IsKernel(MethodInfo method) =>
        method.ReturnType == typeof(void) && method.GetParameters() is [{ ParameterType: { IsByRef: false } type }]
            && type.Name.Contains("Arguments", StringComparison.Ordinal);

    private static IEnumerable<Type> Closed(Type type) => type.IsGenericTypeDefinition
        ? Combinations(type.GetGenericArguments()).Select(types => Try(() => type.MakeGenericType(types)))
            .OfType<Type>()
        : [type];

    private static IEnumerable<MethodInfo> Closed(MethodInfo method) => method.IsGenericMethodDefinition
        ? Combinations(method.GetGenericArguments()).Select(types => Try(() => method.MakeGenericMethod(types)))
            .OfType<MethodInfo>()
        : [method];

    private static IEnumerable<Type[]> Combinations(Type[] parameters) => parameters.Aggregate(
        (IEnumerable<Type[]>)[[]],
        (heads, parameter) => from head in heads from type in Candidates(parameter) select (Type[])[.. head, type]);

    /// <summary>What a type parameter can be; what does not fit together is sorted out when it is tried.</summary>
    private static IEnumerable<Type> Candidates(Type parameter)
    {
        Type[] interfaces = [.. parameter.GetGenericParameterConstraints().Where(type => type.IsInterface)];
        if (interfaces.Length == 0)
            return [typeof(byte), typeof(ushort), typeof(uint), typeof(ulong)];
        Type first = interfaces[0].IsGenericType ? interfaces[0].GetGenericTypeDefinition() : interfaces[0];
        if (first == typeof(INumber<>))
            return [typeof(float), typeof(double)];
        if (first == typeof(ICodec))
            return [typeof(BF16Codec)];
        return Structs.Where(type => Implements(type, first)).SelectMany(Closed);
    }

    private static bool Implements(Type type, Type definition) => type.GetInterfaces()
        .Any(i => (i.IsGenericType ? i.GetGenericTypeDefinition() : i) == definition);

    private static T? Try<T>(Func<T> make)
        where T : class
    {
        try
        {
            return make();
        }
        catch (ArgumentException)
        {
            return null;
        }
    }

    private static string Name(Type type) =>
        type.IsGenericType ? type.Name.Split('`')[0] + Arguments(type.GetGenericArguments()) : type.Name;

    private static string Arguments(Type[] types) =>
        types.Length == 0 ? "" : $"<{string.Join(",", types.Select(Name))}>";
}

namespace FusionKernels.Safetensors;

/// <summary>What a pickle may name, and what it stands for here. There is no other class or function.</summary>
/// <param name="Kind">Its part in describing a tensor.</param>
/// <param name="Dtype">The element type that it says; null for all but typed storages and dtypes.</param>
internal sealed record PickleGlobal(PickleGlobal.Role Kind, Dtype? Dtype = null)
{
    private static readonly Dictionary<string, PickleGlobal> Known = new()
    {
        ["collections.OrderedDict"] = new(Role.Dict),
        ["torch._utils._rebuild_tensor_v2"] = new(Role.Tensor),
        ["torch._utils._rebuild_tensor_v3"] = new(Role.TensorOfBytes),
        ["torch._utils._rebuild_parameter"] = new(Role.Parameter),
        ["torch.storage.UntypedStorage"] = new(Role.Storage),
        ["torch.DoubleStorage"] = new(Role.Storage, Safetensors.Dtype.F64),
        ["torch.FloatStorage"] = new(Role.Storage, Safetensors.Dtype.F32),
        ["torch.HalfStorage"] = new(Role.Storage, Safetensors.Dtype.F16),
        ["torch.BFloat16Storage"] = new(Role.Storage, Safetensors.Dtype.BF16),
        ["torch.LongStorage"] = new(Role.Storage, Safetensors.Dtype.I64),
        ["torch.IntStorage"] = new(Role.Storage, Safetensors.Dtype.I32),
        ["torch.ShortStorage"] = new(Role.Storage, Safetensors.Dtype.I16),
        ["torch.CharStorage"] = new(Role.Storage, Safetensors.Dtype.I8),
        ["torch.ByteStorage"] = new(Role.Storage, Safetensors.Dtype.U8),
        ["torch.BoolStorage"] = new(Role.Storage, Safetensors.Dtype.Bool),
        ["torch.ComplexFloatStorage"] = new(Role.Storage, Safetensors.Dtype.C64),
        ["torch.float64"] = new(Role.Dtype, Safetensors.Dtype.F64),
        ["torch.float32"] = new(Role.Dtype, Safetensors.Dtype.F32),
        ["torch.float16"] = new(Role.Dtype, Safetensors.Dtype.F16),
        ["torch.bfloat16"] = new(Role.Dtype, Safetensors.Dtype.BF16),
        ["torch.float8_e4m3fn"] = new(Role.Dtype, Safetensors.Dtype.F8E4M3),
        ["torch.float8_e5m2"] = new(Role.Dtype, Safetensors.Dtype.F8E5M2),
        ["torch.float8_e4m3fnuz"] = new(Role.Dtype, Safetensors.Dtype.F8E4M3Fnuz),
        ["torch.float8_e5m2fnuz"] = new(Role.Dtype, Safetensors.Dtype.F8E5M2Fnuz),
        ["torch.float8_e8m0fnu"] = new(Role.Dtype, Safetensors.Dtype.F8E8M0),
        ["torch.uint16"] = new(Role.Dtype, Safetensors.Dtype.U16),
        ["torch.uint32"] = new(Role.Dtype, Safetensors.Dtype.U32),
        ["torch.uint64"] = new(Role.Dtype, Safetensors.Dtype.U64),
    };

    /// <summary>Finds a global by its module and name; null for all that is no part of a tensor.</summary>
    public static PickleGlobal? Find(string qualifiedName) => Known.GetValueOrDefault(qualifiedName);

    /// <summary>The parts in describing a tensor.</summary>
    public enum Role
    {
        /// <summary>Makes an empty dict.</summary>
        Dict,

        /// <summary>Makes a tensor of storage, offset, shape, strides, two of no interest, and perhaps remarks.</summary>
        Tensor,

        /// <summary>The same with a dtype after the sixth, over a storage of plain bytes.</summary>
        TensorOfBytes,

        /// <summary>Gives its first argument, a tensor.</summary>
        Parameter,

        /// <summary>Names a storage's element type.</summary>
        Storage,

        /// <summary>Names a tensor's element type.</summary>
        Dtype,
    }
}

namespace FusionKernels.Safetensors;

/// <summary>
/// The rule that a file breaks. The first ten are the reference implementation's errors by the same name, in the order
/// in which they are checked; the rest are this reader's.
/// </summary>
public enum FormatError
{
    /// <summary>The file is shorter than the 8 bytes of the header length.</summary>
    HeaderTooSmall,

    /// <summary>The header is longer than 100 000 000 bytes.</summary>
    HeaderTooLarge,

    /// <summary>The header ends after the end of the file.</summary>
    InvalidHeaderLength,

    /// <summary>The header is not UTF-8.</summary>
    InvalidHeader,

    /// <summary>The header is not one JSON object of the expected form.</summary>
    InvalidHeaderDeserialization,

    /// <summary>The tensors do not follow each other without holes and overlaps, starting at 0.</summary>
    InvalidOffset,

    /// <summary>A shape times its element size exceeds 64 bits.</summary>
    ValidationOverflow,

    /// <summary>The elements of a sub-byte type do not end on a byte.</summary>
    MisalignedSlice,

    /// <summary>The data offsets of a tensor do not span what its shape and type need.</summary>
    TensorInvalidInfo,

    /// <summary>The file does not end where the last tensor ends.</summary>
    MetadataIncompleteBuffer,

    /// <summary>A key occurs twice in one JSON object, also when spelled with different escapes.</summary>
    DuplicateKey,

    /// <summary>Another kind of file under the name of a safetensors file; the message says which.</summary>
    NotSafetensors,

    /// <summary>The index is not a JSON object with a <c>weight_map</c> from tensor names to file names.</summary>
    InvalidIndex,

    /// <summary>
    /// The index names a shard by anything but a plain file name that ends in <c>.safetensors</c>, or in <c>.bin</c> in
    /// a <c>.bin.index.json</c>.
    /// </summary>
    UnsafeShardName,

    /// <summary>The index names a shard that is not there.</summary>
    MissingShard,

    /// <summary>The index places a tensor in a shard that does not hold it.</summary>
    TensorNotInShard,

    /// <summary>A shard holds a tensor that the index does not name.</summary>
    TensorNotInIndex,

    /// <summary>Two shards hold a tensor of the same name.</summary>
    DuplicateTensor,

    /// <summary>The file is not the zip archive that torch.save writes, or is a damaged one.</summary>
    InvalidArchive,

    /// <summary>The pickle is damaged, larger than any real one, or describes something other than tensors.</summary>
    InvalidPickle,

    /// <summary>The pickle asks for a class or function that is no part of a tensor. Nothing is ever run.</summary>
    ForbiddenGlobal,

    /// <summary>The elements of a pickled tensor do not follow each other in memory in row-major order.</summary>
    NotContiguous,
}

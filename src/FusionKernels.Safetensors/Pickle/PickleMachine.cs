using System.Buffers.Binary;
using System.Text;

namespace FusionKernels.Safetensors;

/// <summary>
/// Interprets the pickles that torch.save writes (protocols 2 to 5): a stack machine whose values are dicts, lists,
/// tuples, numbers, strings and descriptions of tensors. An instruction that torch does not write, or a global that is
/// no part of a tensor, ends it. Values are built from the inside out and never walked here, so nesting costs no stack;
/// their number is bounded, and with it the memory that a hostile file costs.
/// </summary>
internal ref struct PickleMachine
{
    private const int MaxValues = 2_000_000;

    private static readonly UTF8Encoding StrictUtf8 = new(false, throwOnInvalidBytes: true);
    private static readonly object True = true, False = false;

    private readonly ReadOnlySpan<byte> pickle;
    private readonly string path;
    private readonly List<object?> stack = [];
    private readonly Stack<int> marks = [];
    private readonly Dictionary<uint, object?> memo = [];
    private int position;
    private int values;

    private PickleMachine(ReadOnlySpan<byte> pickle, string path)
    {
        this.pickle = pickle;
        this.path = path;
    }

    private enum Opcode : byte
    {
        Mark = (byte)'(',
        EmptyTuple = (byte)')',
        Stop = (byte)'.',
        BinFloat = (byte)'G',
        BinInt = (byte)'J',
        BinInt1 = (byte)'K',
        BinInt2 = (byte)'M',
        None = (byte)'N',
        BinPersonId = (byte)'Q',
        Reduce = (byte)'R',
        ShortBinString = (byte)'U',
        BinUnicode = (byte)'X',
        EmptyList = (byte)']',
        Append = (byte)'a',
        Build = (byte)'b',
        Global = (byte)'c',
        Appends = (byte)'e',
        BinGet = (byte)'h',
        LongBinGet = (byte)'j',
        BinPut = (byte)'q',
        LongBinPut = (byte)'r',
        SetItem = (byte)'s',
        Tuple = (byte)'t',
        SetItems = (byte)'u',
        EmptyDict = (byte)'}',
        Proto = 0x80,
        Tuple1 = 0x85,
        Tuple2 = 0x86,
        Tuple3 = 0x87,
        NewTrue = 0x88,
        NewFalse = 0x89,
        Long1 = 0x8A,
        ShortBinUnicode = 0x8C,
        StackGlobal = 0x93,
        Memoize = 0x94,
        Frame = 0x95,
    }

    /// <summary>Runs a pickle.</summary>
    /// <returns>
    /// The value it makes: null, <see cref="bool"/>, <see cref="long"/>, <see cref="double"/>, <see cref="string"/>, a
    /// tuple as an array, a list, or one of the types of this folder.
    /// </returns>
    /// <exception cref="SafetensorsException">The pickle is damaged, too large, or asks for something else.</exception>
    public static object? Run(ReadOnlySpan<byte> pickle, string path)
    {
        var machine = new PickleMachine(pickle, path);
        while (machine.Step())
        {
        }

        if (machine.marks.Count > 0 || machine.stack.Count != 1) throw machine.Damaged("does not end with one value");
        return machine.Pop();
    }

    private bool Step()
    {
        var opcode = (Opcode)Take(1)[0];
        switch (opcode)
        {
            case Opcode.Proto:
                if (Take(1)[0] is < 2 or > 5) throw Damaged("is of another protocol than 2 to 5");
                break;
            case Opcode.Frame:
                Take(8);
                break;
            case Opcode.Stop:
                return false;
            case Opcode.Mark:
                Count();
                marks.Push(stack.Count);
                break;
            case Opcode.None:
                Push(null);
                break;
            case Opcode.NewTrue:
                Push(True);
                break;
            case Opcode.NewFalse:
                Push(False);
                break;
            case Opcode.BinInt:
                Push((long)BinaryPrimitives.ReadInt32LittleEndian(Take(4)));
                break;
            case Opcode.BinInt1:
                Push((long)Take(1)[0]);
                break;
            case Opcode.BinInt2:
                Push((long)BinaryPrimitives.ReadUInt16LittleEndian(Take(2)));
                break;
            case Opcode.Long1:
                Push(ReadLong(Take(Take(1)[0])));
                break;
            case Opcode.BinFloat:
                Push(BinaryPrimitives.ReadDoubleBigEndian(Take(8)));
                break;
            case Opcode.ShortBinString or Opcode.ShortBinUnicode:
                Push(Text(Take(Take(1)[0])));
                break;
            case Opcode.BinUnicode:
                Push(Text(Take(U32())));
                break;
            case Opcode.EmptyTuple:
                Push(Array.Empty<object?>());
                break;
            case Opcode.Tuple1 or Opcode.Tuple2 or Opcode.Tuple3:
                Push(PopLast(opcode - Opcode.Tuple1 + 1));
                break;
            case Opcode.Tuple:
                Push(PopLast(SinceMark()));
                break;
            case Opcode.EmptyList:
                Push(new List<object?>());
                break;
            case Opcode.Append:
                Extend(1);
                break;
            case Opcode.Appends:
                Extend(SinceMark());
                break;
            case Opcode.EmptyDict:
                Push(new PickleDict());
                break;
            case Opcode.SetItem:
                SetItems(2);
                break;
            case Opcode.SetItems:
                SetItems(SinceMark());
                break;
            case Opcode.BinPut:
                Memoize(Take(1)[0]);
                break;
            case Opcode.LongBinPut:
                Memoize(U32());
                break;
            case Opcode.Memoize:
                Memoize((uint)memo.Count);
                break;
            case Opcode.BinGet:
                Push(Recall(Take(1)[0]));
                break;
            case Opcode.LongBinGet:
                Push(Recall(U32()));
                break;
            case Opcode.Global:
                string module = Text(Line()), name = Text(Line());
                Push(Global(module, name));
                break;
            case Opcode.StackGlobal:
                (object? second, object? first) = (Pop(), Pop());
                Push(Global(first as string, second as string));
                break;
            case Opcode.BinPersonId:
                Push(Storage(Pop()));
                break;
            case Opcode.Reduce:
                (object? arguments, object? callee) = (Pop(), Pop());
                Push(Call(callee as PickleGlobal, arguments as object?[]));
                break;
            case Opcode.Build:
                // The attributes of a state dict: its _metadata, which says nothing about bytes.
                Pop();
                if (stack is not [.., PickleDict]) throw Damaged("gives attributes to something other than a dict");
                break;
            default:
                throw Damaged($"has the instruction 0x{(byte)opcode:X2}, which torch.save does not write");
        }

        return true;
    }

    private readonly object Call(PickleGlobal? callee, object?[]? arguments)
    {
        switch (callee?.Kind, arguments)
        {
            case (PickleGlobal.Role.Dict, []):
                return new PickleDict();
            case (PickleGlobal.Role.Parameter, [PickledTensor tensor, ..]):
                return tensor;
            case (PickleGlobal.Role.Tensor,
                [PickledStorage { Dtype: { } dtype } storage, long offset, object?[] shape, object?[] strides, _, _,
                    .. var remarks]):
                RefuseRemarks(remarks);
                return new PickledTensor(storage, dtype, offset, Numbers(shape), Numbers(strides));
            case (PickleGlobal.Role.TensorOfBytes,
                [PickledStorage storage, long offset, object?[] shape, object?[] strides, _, _,
                    PickleGlobal { Kind: PickleGlobal.Role.Dtype, Dtype: { } dtype }, .. var remarks]):
                RefuseRemarks(remarks);
                return new PickledTensor(storage, dtype, offset, Numbers(shape), Numbers(strides));
            default:
                throw Damaged($"calls {(object?)callee?.Kind ?? "a value"} with other arguments than torch.save gives");
        }
    }

    // What may follow a tensor's arguments says that its values are to be negated or conjugated.
    private readonly void RefuseRemarks(object?[] remarks)
    {
        if (remarks is [] or [null] or [PickleDict { Entries: null }]) return;
        throw Damaged("describes a conjugated or negated view");
    }

    private readonly long[] Numbers(object?[] values)
    {
        long[] numbers = new long[values.Length];
        for (int i = 0; i < numbers.Length; i++)
        {
            numbers[i] = values[i] is long and >= 0 and var number
                ? number
                : throw Damaged("describes a tensor by something other than whole numbers");
        }

        return numbers;
    }

    private readonly PickledStorage Storage(object? id) =>
        id is object?[] and ["storage", PickleGlobal { Kind: PickleGlobal.Role.Storage } type, string key, _, long count]
            ? new PickledStorage(type.Dtype, key, count)
            : throw Damaged("refers to something other than a storage");

    private readonly PickleGlobal Global(string? module, string? name) =>
        PickleGlobal.Find($"{module}.{name}") ?? throw new SafetensorsException(
            FormatError.ForbiddenGlobal,
            path,
            null,
            $"the pickle asks for {module}.{name}, which is no part of a tensor; nothing was run");

    private void Extend(int count)
    {
        object?[] items = PopLast(count);
        if (stack is not [.., List<object?> list]) throw Damaged("appends to something other than a list");
        list.AddRange(items);
    }

    private void SetItems(int count)
    {
        if (count % 2 != 0) throw Damaged("sets a key without a value");
        object?[] items = PopLast(count);
        if (stack is not [.., PickleDict dict]) throw Damaged("sets items of something other than a dict");
        if (count > 0) dict.Entries ??= [];
        for (int i = 0; i < count; i += 2) dict.Entries!.Add((items[i], items[i + 1]));
    }

    private void Memoize(uint key)
    {
        Count();
        if (stack is not [.., var top]) throw Damaged("remembers a value that is not there");
        memo[key] = top;
    }

    private readonly object? Recall(uint key) =>
        memo.TryGetValue(key, out object? value) ? value : throw Damaged($"recalls value {key}, which is not there");

    private void Push(object? value)
    {
        Count();
        stack.Add(value);
    }

    private object? Pop() => PopLast(1)[0];

    private readonly object?[] PopLast(int count)
    {
        int floor = marks.TryPeek(out int mark) ? mark : 0;
        if (stack.Count - count < floor) throw Damaged("takes a value that is not there");
        object?[] items = new object?[count];
        stack.CopyTo(stack.Count - count, items, 0, count);
        stack.RemoveRange(stack.Count - count, count);
        return items;
    }

    private readonly int SinceMark() =>
        marks.TryPop(out int mark) ? stack.Count - mark : throw Damaged("goes back to a mark that is not there");

    private void Count()
    {
        if (++values > MaxValues) throw Damaged($"makes more than {MaxValues} values");
    }

    private ReadOnlySpan<byte> Line()
    {
        int length = pickle[position..].IndexOf((byte)'\n');
        if (length < 0) throw Damaged("ends within a name");
        return Take((uint)length + 1)[..length];
    }

    private uint U32() => BinaryPrimitives.ReadUInt32LittleEndian(Take(4));

    private ReadOnlySpan<byte> Take(uint length)
    {
        if (length > pickle.Length - position) throw Damaged("ends within an instruction");
        ReadOnlySpan<byte> bytes = pickle.Slice(position, (int)length);
        position += (int)length;
        return bytes;
    }

    // Little endian, two's complement, as few bytes as it takes; none for zero.
    private readonly long ReadLong(ReadOnlySpan<byte> bytes)
    {
        if (bytes.Length > 8) throw Damaged("has a number of more than 64 bits");
        Span<byte> wide = stackalloc byte[8];
        wide.Fill(bytes is [.., >= 0x80] ? (byte)0xFF : (byte)0);
        bytes.CopyTo(wide);
        return BinaryPrimitives.ReadInt64LittleEndian(wide);
    }

    private readonly string Text(ReadOnlySpan<byte> bytes)
    {
        try
        {
            return StrictUtf8.GetString(bytes);
        }
        catch (DecoderFallbackException)
        {
            throw Damaged("has a text that is not UTF-8");
        }
    }

    private readonly SafetensorsException Damaged(string message) =>
        new(FormatError.InvalidPickle, path, null, $"the pickle {message} (byte {position})");
}

using System.Text;
using static FusionKernels.Safetensors.Tests.RawFile;

namespace FusionKernels.Safetensors.Tests;

/// <summary>The rules of the format in their order, each by its error code.</summary>
[TestFixture]
public sealed class HeaderRuleTests
{
    [Test]
    public void Rule_1_a_file_has_at_least_eight_bytes([Range(1, 7)] int length) =>
        Assert.That(Refused(new byte[length]).Code, Is.EqualTo(FormatError.HeaderTooSmall));

    [TestCase(100_000_001UL)]
    [TestCase(ulong.MaxValue)]
    [TestCase(1UL << 63)]
    public void Rule_2_a_header_has_at_most_100_000_000_bytes(ulong length) =>
        Assert.That(Refused(BitConverter.GetBytes(length)).Code, Is.EqualTo(FormatError.HeaderTooLarge));

    [Test]
    public void Rule_2_allows_exactly_100_000_000_bytes() =>
        Assert.That(Refused(BitConverter.GetBytes(100_000_000L)).Code, Is.EqualTo(FormatError.InvalidHeaderLength));

    [Test]
    public void Rule_3_a_header_ends_inside_the_file()
    {
        byte[] file = [.. BitConverter.GetBytes(3L), (byte)'{', (byte)'}'];
        Assert.That(Refused(file).Code, Is.EqualTo(FormatError.InvalidHeaderLength));
    }

    [Test]
    public void Rule_4_a_header_is_utf8_before_it_is_json([Values(0xff, 0xc0, 0x80)] int invalid)
    {
        Assert.That(Refused(Of([(byte)invalid])).Code, Is.EqualTo(FormatError.InvalidHeader));
        byte[] inName = Encoding.Latin1.GetBytes(Header(Tensor("a" + (char)invalid, "U8", "[0]", 0, 0)));
        Assert.That(Refused(Of(inName)).Code, Is.EqualTo(FormatError.InvalidHeader));
        byte[] surrogate = [.. "{\""u8, 0xed, 0xa0, 0x80, .. "\":0}"u8];
        Assert.That(Refused(Of(surrogate)).Code, Is.EqualTo(FormatError.InvalidHeader));
    }

    [TestCase("")]
    [TestCase("   ")]
    [TestCase("[]")]
    [TestCase("null")]
    [TestCase("1")]
    [TestCase("\"a\"")]
    [TestCase("{")]
    [TestCase("{}{}")]
    [TestCase("{} x")]
    [TestCase("{}\0")]
    [TestCase("{}\u00a0")]
    [TestCase("\ufeff{}")]
    [TestCase("{/* comment */}")]
    [TestCase("{\"a\":{},}")]
    [TestCase("{'a':1}")]
    public void Rule_5_a_header_is_one_json_object(string header) =>
        Assert.That(Refused(Of(header)).Code, Is.EqualTo(FormatError.InvalidHeaderDeserialization));

    [TestCase("{}")]
    [TestCase("{}      ")]
    [TestCase(" \t\r\n{}")]
    [TestCase("{\"__metadata__\":null}")]
    [TestCase("{\"__metadata__\":{}}")]
    [TestCase("{\"__metadata__\":{\"a\":\"b\"}}")]
    public void Rule_5_allows_white_space_around_it_and_any_form_of_no_tensors(string header) =>
        Assert.That(SafetensorsHeader.Parse(Of(header)).Tensors, Is.Empty);

    [TestCase("{\"__metadata__\":[]}")]
    [TestCase("{\"__metadata__\":\"a\"}")]
    [TestCase("{\"__metadata__\":{\"a\":1}}")]
    [TestCase("{\"__metadata__\":{\"a\":null}}")]
    [TestCase("{\"__metadata__\":{\"a\":{}}}")]
    [TestCase("{\"__metadata__\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}}")]
    public void Rule_5_metadata_maps_strings_to_strings(string header) =>
        Assert.That(Refused(Of(header)).Code, Is.EqualTo(FormatError.InvalidHeaderDeserialization));

    [TestCase("null")]
    [TestCase("[\"U8\",[0],[0,0]]")]
    [TestCase("{}")]
    [TestCase("{\"dtype\":\"U8\",\"shape\":[0]}")]
    [TestCase("{\"dtype\":\"U8\",\"data_offsets\":[0,0]}")]
    [TestCase("{\"shape\":[0],\"data_offsets\":[0,0]}")]
    [TestCase("{\"dtype\":\"u8\",\"shape\":[0],\"data_offsets\":[0,0]}")]
    [TestCase("{\"dtype\":\"F8_E4M3FN\",\"shape\":[0],\"data_offsets\":[0,0]}")]
    [TestCase("{\"dtype\":\"\",\"shape\":[0],\"data_offsets\":[0,0]}")]
    [TestCase("{\"dtype\":0,\"shape\":[0],\"data_offsets\":[0,0]}")]
    [TestCase("{\"dtype\":null,\"shape\":[0],\"data_offsets\":[0,0]}")]
    [TestCase("{\"dtype\":\"U8\",\"shape\":0,\"data_offsets\":[0,0]}")]
    [TestCase("{\"dtype\":\"U8\",\"shape\":null,\"data_offsets\":[0,0]}")]
    [TestCase("{\"dtype\":\"U8\",\"shape\":[[0]],\"data_offsets\":[0,0]}")]
    [TestCase("{\"dtype\":\"U8\",\"shape\":[\"0\"],\"data_offsets\":[0,0]}")]
    [TestCase("{\"dtype\":\"U8\",\"shape\":[true],\"data_offsets\":[0,0]}")]
    [TestCase("{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0]}")]
    [TestCase("{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0,0]}")]
    [TestCase("{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":{}}")]
    [TestCase("{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,null]}")]
    public void Rule_5_a_tensor_has_a_type_a_shape_and_a_pair_of_offsets(string tensor) =>
        Assert.That(Refused(Of($"{{\"a\":{tensor}}}")).Code, Is.EqualTo(FormatError.InvalidHeaderDeserialization));

    [Test]
    public void Rule_5_numbers_are_unsigned_integers_of_64_bits(
        [Values("-1", "-0", "0.0", "1.0", "0e0", "1e2", "01", "18446744073709551616", "+1", "0x1", "NaN")]
        string number)
    {
        string inShape = $"{{\"a\":{{\"dtype\":\"U8\",\"shape\":[{number}],\"data_offsets\":[0,0]}}}}";
        string inOffsets = $"{{\"a\":{{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,{number}]}}}}";
        Assert.That(Refused(Of(inShape)).Code, Is.EqualTo(FormatError.InvalidHeaderDeserialization));
        Assert.That(Refused(Of(inOffsets)).Code, Is.EqualTo(FormatError.InvalidHeaderDeserialization));
    }

    [Test]
    public void Rule_5_ignores_unknown_fields_of_a_tensor()
    {
        const string Header = """
            {"a":{"x":[{"dtype":1e5},null],"dtype":"U8","y":"\ud800","shape":[2],"z":{"shape":[]},"data_offsets":[0,2]}}
            """;
        Assert.That(SafetensorsHeader.Parse(Of(Header, 2)).Tensors[0].ByteLength, Is.EqualTo(2));
    }

    // Each of these has the bytes that its ranges need, so that only the place of a range is wrong.
    [TestCase(1UL, 3UL, 3UL, 5UL, TestName = "Rule_6_the_first_tensor_begins_at_0")]
    [TestCase(0UL, 2UL, 3UL, 5UL, TestName = "Rule_6_there_are_no_holes")]
    [TestCase(0UL, 2UL, 1UL, 3UL, TestName = "Rule_6_there_are_no_overlaps")]
    [TestCase(0UL, 2UL, 0UL, 2UL, TestName = "Rule_6_two_tensors_do_not_share_bytes")]
    [TestCase(0UL, 2UL, 2UL, 0UL, TestName = "Rule_6_a_range_does_not_run_backwards")]
    public void Offsets(ulong begin1, ulong end1, ulong begin2, ulong end2)
    {
        byte[] file = Of(Header(Tensor("a", "U8", "[2]", begin1, end1), Tensor("b", "U8", "[2]", begin2, end2)), 5);
        Assert.That(Refused(file).Code, Is.EqualTo(FormatError.InvalidOffset));
    }

    [Test]
    public void Rule_6_the_known_attack_of_ten_tensors_over_one_range_is_refused()
    {
        string[] tensors = [.. Enumerable.Range(0, 10).Select(i => Tensor($"t{i}", "F32", "[2,2]", 0, 16))];
        Assert.That(Refused(Of(Header(tensors), 16)).Code, Is.EqualTo(FormatError.InvalidOffset));
    }

    [TestCase("[4294967296,4294967296]", "U8")]
    [TestCase("[9223372036854775808,2]", "U8")]
    [TestCase("[2305843009213693952]", "F64")]
    [TestCase("[4611686018427387904,4611686018427387904,0]", "U8")]
    [TestCase("[0,9223372036854775808]", "U8", Description = "legal on the wire, but no dimension of 2^63 fits a long")]
    public void Rule_7_a_size_fits_64_bits(string shape, string dtype) =>
        Assert.That(
            Refused(Of(Header(Tensor("a", dtype, shape, 0, 0)))).Code,
            Is.EqualTo(FormatError.ValidationOverflow));

    [Test]
    public void Rule_7_a_zero_first_makes_a_huge_shape_empty() =>
        Assert.That(
            SafetensorsHeader.Parse(Of(Header(Tensor("a", "F32", "[0,4611686018427387904,4611686018427387904]", 0, 0))))
                .Tensors[0].ElementCount,
            Is.Zero);

    [TestCase("F4", "[1]", false)]
    [TestCase("F4", "[3,3]", false)]
    [TestCase("F6_E2M3", "[2]", false)]
    [TestCase("F6_E3M2", "[3]", false)]
    [TestCase("F4", "[2]", true)]
    [TestCase("F4", "[0]", true)]
    [TestCase("F6_E2M3", "[4]", true)]
    public void Rule_8_sub_byte_elements_end_on_a_byte(string dtype, string shape, bool legal)
    {
        int bytes = legal ? shape switch { "[2]" => 1, "[4]" => 3, _ => 0 } : 1;
        byte[] file = Of(Header(Tensor("a", dtype, shape, 0, (ulong)bytes)), bytes);
        if (legal) Assert.That(SafetensorsHeader.Parse(file).DataLength, Is.EqualTo(bytes));
        else Assert.That(Refused(file).Code, Is.EqualTo(FormatError.MisalignedSlice));
    }

    [TestCase("[2]", 7)]
    [TestCase("[2]", 9)]
    [TestCase("[]", 8)]
    [TestCase("[0]", 4)]
    public void Rule_9_offsets_span_what_shape_and_type_need(string shape, int end) =>
        Assert.That(
            Refused(Of(Header(Tensor("a", "F32", shape, 0, (ulong)end)), end)).Code,
            Is.EqualTo(FormatError.TensorInvalidInfo));

    [TestCase(-2)]
    [TestCase(-1)]
    [TestCase(1)]
    [TestCase(1000)]
    public void Rule_10_the_file_ends_with_its_last_tensor(int surplus) =>
        Assert.That(
            Refused(Of(Header(Tensor("a", "F32", "[2]", 0, 8)), 8 + surplus)).Code,
            Is.EqualTo(FormatError.MetadataIncompleteBuffer));

    [Test]
    public void Rule_10_holds_for_a_file_without_tensors() =>
        Assert.That(Refused(Of("{}", 1)).Code, Is.EqualTo(FormatError.MetadataIncompleteBuffer));

    [Test]
    public void Rule_10_is_what_a_tensor_breaks_that_no_file_could_hold() =>
        Assert.That(
            Refused(Of(Header(Tensor("a", "U8", "[2305843009213693951]", 0, 2305843009213693951)))).Code,
            Is.EqualTo(FormatError.MetadataIncompleteBuffer));

    [Test]
    public void Rule_10_can_be_waived_for_bytes_after_the_end_and_for_nothing_else()
    {
        var lenient = new SafetensorsOptions { AllowTrailingBytes = true };
        string header = Header(Tensor("a", "F32", "[2]", 0, 8));
        Assert.That(SafetensorsHeader.Parse(Of(header, 11), options: lenient).DataLength, Is.EqualTo(8));
        Assert.That(
            Assert.Throws<SafetensorsException>(() => SafetensorsHeader.Parse(Of(header, 7), options: lenient))!.Code,
            Is.EqualTo(FormatError.MetadataIncompleteBuffer));
    }

    // A file that breaks several rules is refused by the first one.
    [TestCase("[3]", "F4", 1UL, 9UL, FormatError.InvalidOffset)]
    [TestCase("[3]", "F4", 0UL, 9UL, FormatError.MisalignedSlice)]
    [TestCase("[2]", "F4", 0UL, 9UL, FormatError.TensorInvalidInfo)]
    [TestCase("[18446744073709551615]", "F4", 0UL, 9UL, FormatError.ValidationOverflow)]
    [TestCase("[18]", "F4", 0UL, 9UL, FormatError.MetadataIncompleteBuffer)]
    public void The_first_broken_rule_is_the_one_reported(
        string shape, string dtype, ulong begin, ulong end, FormatError expected) =>
        Assert.That(Refused(Of(Header(Tensor("a", dtype, shape, begin, end)), 100)).Code, Is.EqualTo(expected));

    [Test]
    public void The_first_tensor_in_the_file_is_reported_before_one_that_breaks_an_earlier_rule()
    {
        byte[] file = Of(Header(Tensor("late", "U8", "[2]", 9, 11), Tensor("early", "U8", "[2]", 0, 3)), 11);
        SafetensorsException error = Refused(file);
        Assert.That((error.Code, error.TensorName), Is.EqualTo((FormatError.TensorInvalidInfo, "early")));
    }

    [TestCase("\"a\"", "\"a\"")]
    [TestCase("\"a\"", "\"\\u0061\"")]
    [TestCase("\"é\"", "\"\\u00E9\"")]
    [TestCase("\"\\ud83d\\ude00\"", "\"😀\"")]
    public void A_name_that_occurs_twice_is_refused_whatever_its_escapes(string first, string second)
    {
        const string Empty = ":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}";
        SafetensorsException error = Refused(Of($"{{{first}{Empty},{second}{Empty}}}"));
        Assert.That(error.Code, Is.EqualTo(FormatError.DuplicateKey));
        Assert.That(error.TensorName, Is.Not.Null);
    }

    [TestCase("{\"__metadata__\":{},\"__metadata__\":{}}")]
    [TestCase("{\"__metadata__\":null,\"__metadata__\":{}}")]
    [TestCase("{\"__metadata__\":{},\"\\u005f_metadata__\":{}}")]
    [TestCase("{\"__metadata__\":{\"a\":\"1\",\"\\u0061\":\"2\"}}")]
    [TestCase("{\"a\":{\"dtype\":\"U8\",\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}}")]
    [TestCase("{\"a\":{\"dtype\":\"U8\",\"shape\":[0],\"sh\\u0061pe\":[0],\"data_offsets\":[0,0]}}")]
    [TestCase("{\"a\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0],\"data_offsets\":[0,0]}}")]
    public void Any_other_key_that_occurs_twice_is_refused_too(string header) =>
        Assert.That(Refused(Of(header)).Code, Is.EqualTo(FormatError.DuplicateKey));

    [TestCase("{\"\\ud800\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}}")]
    [TestCase("{\"a\":{\"\\udc00\":0,\"dtype\":\"\\ud800\",\"shape\":[0],\"data_offsets\":[0,0]}}")]
    [TestCase("{\"a\":{\"x\\ud800\":0,\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}}")]
    [TestCase("{\"__metadata__\":{\"a\":\"\\ud800\"}}")]
    [TestCase("{\"\\u12\":0}")]
    public void A_string_that_is_no_unicode_is_malformed_json(string header) =>
        Assert.That(Refused(Of(header)).Code, Is.EqualTo(FormatError.InvalidHeaderDeserialization));

    [Test]
    public void Nesting_without_end_is_malformed_json() =>
        Assert.That(
            Refused(Of("{\"a\":{\"x\":" + new string('[', 100_000))).Code,
            Is.EqualTo(FormatError.InvalidHeaderDeserialization));

    [Test]
    public void Escaped_names_and_types_are_read_as_what_they_mean()
    {
        const string Text = """{"\u0061\/":{"d\u0074ype":"\u0046\u0033\u0032","shape":[1],"data_offsets":[0,4]}}""";
        SafetensorsHeader header = SafetensorsHeader.Parse(Of(Text, 4));
        Assert.That(header.TryGet("a/", out TensorInfo? tensor));
        Assert.That(tensor!.Dtype, Is.EqualTo(Dtype.F32));
    }

    [Test]
    public void Empty_tensors_share_an_offset_with_each_other_and_with_the_start_of_a_full_one()
    {
        byte[] file = Of(
            Header(
                Tensor("a", "U8", "[4]", 0, 4),
                Tensor("b", "F8_E4M3", "[0]", 0, 0),
                Tensor("z", "F32", "[2,0]", 4, 4),
                Tensor("c", "U8", "[1]", 4, 5),
                Tensor("y", "F32", "[0]", 4, 4)),
            5);
        SafetensorsHeader header = SafetensorsHeader.Parse(file);
        Assert.That(header.Tensors.Select(t => t.Name), Is.EqualTo(new[] { "b", "a", "z", "y", "c" }));
        Assert.That(header.DataLength, Is.EqualTo(5));
    }

    [Test]
    public void Tensors_are_listed_in_file_order_and_found_by_name()
    {
        byte[] file = Of(
            Header(
                "\"__metadata__\":{\"k\":\"v\"}",
                Tensor("second", "F16", "[]", 8, 10),
                Tensor("first", "F64", "[1,1]", 0, 8)),
            10);
        SafetensorsHeader header = SafetensorsHeader.Parse(file);
        Assert.That(header.Tensors.Select(t => t.Name), Is.EqualTo(new[] { "first", "second" }));
        Assert.That(header.TryGet("second", out TensorInfo? scalar));
        Assert.That(scalar!.Shape, Is.Empty);
        Assert.That((scalar.ElementCount, scalar.ByteLength), Is.EqualTo((1L, 2L)));
        Assert.That(header.TryGet("third", out _), Is.False);
        Assert.That(header.Metadata["k"], Is.EqualTo("v"));
        Assert.That(header.DataOffset + header.DataLength, Is.EqualTo(file.Length));
    }

    [Test]
    public void Data_may_start_at_any_address([Range(0, 8)] int padding)
    {
        byte[] file = Of(Header(Tensor("a", "F64", "[1]", 0, 8)) + new string(' ', padding), 8);
        Assert.That(SafetensorsHeader.Parse(file).DataOffset, Is.EqualTo(file.Length - 8));
    }

    [Test]
    public void Every_type_is_known_by_its_wire_name([Values] Dtype dtype)
    {
        Assert.That(DtypeExtensions.TryParse(dtype.WireName(), out Dtype byText));
        Assert.That(DtypeExtensions.TryParse(Encoding.UTF8.GetBytes(dtype.WireName()), out Dtype byBytes));
        Assert.That((byText, byBytes), Is.EqualTo((dtype, dtype)));
        int bytes = dtype.Bits(); // of eight elements
        byte[] file = Of(Header(Tensor("a", dtype.WireName(), "[8]", 0, (ulong)bytes)), bytes);
        Assert.That(SafetensorsHeader.Parse(file).Tensors[0].Dtype, Is.EqualTo(dtype));
    }

    [Test]
    public void The_types_have_the_rank_and_the_bits_of_the_reference()
    {
        string ranked = string.Join(' ', Enum.GetValues<Dtype>().Select(d => $"{d.WireName()}:{d.Bits()}"));
        Assert.That(ranked, Is.EqualTo(
            "BOOL:8 F4:4 F6_E2M3:6 F6_E3M2:6 U8:8 I8:8 F8_E5M2:8 F8_E4M3:8 F8_E8M0:8 F8_E4M3FNUZ:8 F8_E5M2FNUZ:8 "
            + "I16:16 U16:16 F16:16 BF16:16 I32:32 U32:32 F32:32 C64:64 F64:64 I64:64 U64:64"));
    }

    private static IEnumerable<TestCaseData> WrongFiles =>
    [
        new("an empty file", Array.Empty<byte>()),
        new("Git LFS pointer", "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n"u8.ToArray()),
        new("zip archive", new byte[] { 0x50, 0x4b, 3, 4, 0, 0, 8, 8, 0, 0 }),
        new("Python pickle", new byte[] { 0x80, 2, 0x8a, 10, 0x6c, 0xfc, 0x9c, 0x46, 0xf9 }),
        new("GGUF", "GGUF\u0003\0\0\0\u0001"u8.ToArray()),
        new("HTML", "\n<!DOCTYPE html><html></html>"u8.ToArray()),
        new("JSON", "{\"error\":\"not found\"}"u8.ToArray()),
    ];

    [TestCaseSource(nameof(WrongFiles))]
    public void A_file_of_another_kind_is_called_by_its_kind(string kind, byte[] file)
    {
        SafetensorsException error = Refused(file);
        Assert.That(error.Code, Is.EqualTo(FormatError.NotSafetensors));
        Assert.That(error.Message, Does.StartWith("x.safetensors: is").And.Contain(kind));
    }

    [Test]
    public void An_error_is_one_line_that_names_file_and_tensor_whatever_the_name_holds()
    {
        string name = "a\\n\\u001b[31m\\u2028" + new string('x', 5000);
        SafetensorsException error = Refused(Of(Header(Tensor(name, "U8", "[1]", 0, 0))));
        Assert.That(error.Message, Does.StartWith("x.safetensors: tensor 'a\\u000a\\u001b[31m\\u2028xxx"));
        Assert.That(error.Message, Has.Length.LessThan(500));
        Assert.That(error.Message.Any(char.IsControl), Is.False);
        Assert.That(error.Path, Is.EqualTo("x.safetensors"));
    }
}

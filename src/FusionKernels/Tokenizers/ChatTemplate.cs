using System.Text;
using System.Text.Json.Nodes;
using FusionKernels.Models;

namespace FusionKernels.Tokenizers;

/// <summary>
/// How a conversation becomes a prompt: Jinja text, as Hugging Face tokenizers keep it. The bundled ones are written
/// from the formats that the models' authors publish.
/// </summary>
internal static class ChatTemplate
{
    /// <summary>In a recipe, the most common among the models' own.</summary>
    public const string Auto = "auto";

    /// <summary>The file that holds a tokenizer's template, and nothing else.</summary>
    public const string File = "chat_template.jinja";

    /// <summary>The file of processors of earlier days.</summary>
    public const string OldFile = "chat_template.json";

    /// <summary>The templates that a recipe may name.</summary>
    public static IReadOnlyDictionary<string, string> Bundled { get; } = new Dictionary<string, string>
    {
        ["alpaca"] = """
            {{- bos_token }}
            {%- if messages[0]['role'] != 'system' %}
            {{- 'Below is an instruction that describes a task. ' }}
            {{- 'Write a response that appropriately completes the request.\n\n' }}
            {%- endif %}
            {%- for message in messages %}
            {%- if message['role'] == 'system' %}
            {{- message['content'] + '\n\n' }}
            {%- elif message['role'] == 'user' %}
            {{- '### Instruction:\n' + message['content'] + '\n\n' }}
            {%- elif message['role'] == 'assistant' %}
            {{- '### Response:\n' + message['content'] + eos_token + '\n\n' }}
            {%- endif %}
            {%- endfor %}
            {%- if add_generation_prompt %}
            {{- '### Response:\n' }}
            {%- endif %}
            """,
        ["chatml"] = """
            {%- for message in messages %}
            {{- '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}
            {%- endfor %}
            {%- if add_generation_prompt %}
            {{- '<|im_start|>assistant\n' }}
            {%- endif %}
            """,
        ["exaone"] = """
            {%- if messages[0]['role'] != 'system' %}
            {{- '[|system|][|endofturn|]\n' }}
            {%- endif %}
            {%- for message in messages %}
            {{- '[|' + message['role'] + '|]' + message['content'] }}
            {%- if message['role'] != 'user' %}
            {{- '[|endofturn|]' }}
            {%- endif %}
            {{- '\n' }}
            {%- endfor %}
            {%- if add_generation_prompt %}
            {{- '[|assistant|]' }}
            {%- endif %}
            """,
        ["llama3"] = """
            {{- bos_token }}
            {%- for message in messages %}
            {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n' }}
            {{- message['content'] | trim + '<|eot_id|>' }}
            {%- endfor %}
            {%- if add_generation_prompt %}
            {{- '<|start_header_id|>assistant<|end_header_id|>\n\n' }}
            {%- endif %}
            """,
        ["mistral"] = """
            {{- bos_token }}
            {%- set ns = namespace(system='') %}
            {%- for message in messages %}
            {%- if message['role'] == 'system' %}
            {%- set ns.system = message['content'] + '\n\n' %}
            {%- elif message['role'] == 'user' %}
            {{- '[INST] ' + ns.system + message['content'] + ' [/INST]' }}
            {%- set ns.system = '' %}
            {%- elif message['role'] == 'assistant' %}
            {{- ' ' + message['content'] + eos_token }}
            {%- endif %}
            {%- endfor %}
            """,
    };

    /// <summary>The template of a recipe, over these models.</summary>
    /// <exception cref="MergeException">It is <see cref="Auto"/>, and no model has one.</exception>
    public static string Of(string recipe, IEnumerable<Model> models)
    {
        if (recipe != Auto)
            return Bundled.GetValueOrDefault(recipe, recipe);
        var byTemplate = models.Select(Own).OfType<string>().GroupBy(t => t);
        return byTemplate.OrderByDescending(g => g.Count()).FirstOrDefault()?.Key
            ?? throw new MergeException(MergeError.Models, "'chat_template: auto': no model has a chat template");
    }

    // Where loaders look, in their order; a list of named templates means the one called default.
    private static string? Own(Model model)
    {
        if (model.ReadFile(File) is { } jinja)
            return Encoding.UTF8.GetString(jinja);
        foreach (string name in new[] { Tokenizer.ConfigFile, OldFile })
        {
            var template = JsonFile.Read(model, name)?["chat_template"];
            if (template is JsonArray named)
                template = named.FirstOrDefault(t => t?["name"]?.ToString() == "default")?["template"];
            if (template is JsonValue text)
                return text.ToString();
        }

        return null;
    }
}

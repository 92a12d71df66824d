#!/usr/bin/env python3
"""Reference values for the tokenizers, from Hugging Face's `tokenizers` (pip install tokenizers).

    python3 tests/reference/text_reference.py

writes tests/data/text/: small tokenizers trained on the text below, and what they make of nasty strings. A case is
[tokenizer, text, second text or null, options, ids, type ids, decoded]; texts are written as JSON.
"""
import gzip
import json
import os
import random
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

here = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "data", "text")
os.makedirs(here, exist_ok=True)

TEXT = [
    "The quick brown fox jumps over the lazy dog. It's a dog's life, isn't it? We've seen they'll come; I'd say I'm late.",
    "Numbers like 1234567890, 3.14159 and 2024-11-24 are split; so are e-mail@example.com and https://example.org/a?b=c.",
    "Istanbul'da Iğdırlı ılık İzmirli çocuklar şöyle güldü: \"Öğretmenim, İyi günler!\" Küçük kız ağaçtan düştü.",
    "Les élèves français étaient déjà à l'école; naïve café, façade, Ærøskøbing, straße, Größe, œuvre.",
    "Привет, мир! Как дела? Всё хорошо, спасибо. Тестирование токенизации текста.",
    "今日は良い天気ですね。東京都に住んでいます。中文分词测试,汉字和标点符号。한국어 문장도 있습니다.",
    "मैं हिंदी में लिखता हूँ। ภาษาไทยไม่มีช่องว่าง שלום עולם مرحبا بالعالم",
    "Tokenization of tokens tokenizes tokenizers; unhappiness, happiness, happily, unhappily, playing, played, player.",
    "int main() {\n    for (int i = 0; i < 10; ++i)\n\t\tprintf(\"%d\\n\", i);\n    return 0;\n}\n",
    "😀 😂 🤣 👍🏽 👨‍👩‍👧‍👦 🇹🇷 emoji test 😀😀😀",
] * 3 + ["the the the of of and and to in a is that it was for on are as with his they I at be this have from"] * 4

NASTY = [
    "", " ", "  ", "   a", "a   ", "a  b   c    d", "\n", "\n\n\n", " \n \t \r\n x", "hello\n\n  world\t\tagain \n",
    "don't DON'T we'll I'Ve y'all's 's 't 're'x '", "it''s 'ss ''", "x1y22z333 1234567890 ٣٤٥ Ⅷ ½ ²",
    "İstanbul ISPARTA ılık İĞÜŞÖÇ iğüşöç I\u0307", "Cafe\u0301 café e\u0301\u0301\u0327 a\u0327\u0301 \u0301 o\u0302\u0323",
    "Ångström ﬁ ﬀ ① ㎏ Ⅳ ｆｕｌｌ　ｗｉｄｔｈ", "中文分词 mixed汉字text 東京 한국어 가각힣 ㄱㄴ 𠀀𪚥", "ภาษาไทย हिंदी שָׁלוֹם مَرْحَبًا",
    "😀😂 👍🏽 👨‍👩‍👧‍👦 🇹🇷 ❤️ ☺", "a\u200bb\u200cc\u200dd\u2060e\ufefff \u00adsoft", "\x00\x01\x1f\x7f\x80\x9f end",
    "tab\there nbsp\u00a0x em\u2003y ls\u2028z ps\u2029w ideo\u3000v nel\u0085u ogham\u1680t", "\ufffd \ue000 \U000f0000 \U0010fffd \uffff",
    "Σίσυφος ΣΊΣΥΦΟΣ ẞ ß ŒUVRE Ⓐⓐ ǅ ŉ", "_under_score __init__ a_1 $5.00 50% #tag @user a+b=c <x> ^~`|",
    "…—–''\"\"«»¡¿§¶†‡•", "supercalifragilisticexpialidocious" * 3, "a" * 101 + " b", "a" * 300, "ab" * 200, " " * 150 + "x" + " " * 150,
    "!" * 120, "日" * 90, "[CLS] [SEP][MASK] [UNK] x[MASK]y  [MASK]  z", "<|endoftext|>a<|endoftext|> <|endo", "<s></s> <unk> <pad>",
    "The quick brown fox isn't unhappily tokenizing 2024 things.", "tokenizer\r\nCRLF\rCR", "\u0130\u0131 \u1e9e \u0149 \ufb01 \u1f88",
    "x\u0301" * 20, "\u0344 \u0958 \u2126 \u212b \u1e9b\u0323 \uac00\u11a8 \u1100\u1161\u11a8", "e\u0328\u0301\u0323 \u0323\u0301", "٠١٢ ੩ ໑ 𝟘𝟙 ㉓",
    "foo.bar(baz)[0]->qux::quux; // comment", "  leading", "\u00a0\u00a0nb", "a\u00a0 b", " \u3000 \n\u2028x",
]

tok = {}


def keep(name, t):
    t.save(os.path.join(here, name + ".json"), pretty=False)
    tok[name] = t


# Byte-level byte-pair encoding as GPT-2 has it.
t = Tokenizer(models.BPE())
t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
t.decoder = decoders.ByteLevel()
t.train_from_iterator(TEXT, trainers.BpeTrainer(vocab_size=700, min_frequency=2, special_tokens=["<|endoftext|>"], show_progress=False,
                                                initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
keep("gpt2", t)
t.model.save(here, "gpt2")  # gpt2-vocab.json and gpt2-merges.txt

gpt2 = json.loads(t.to_str())


def variant(name, **changes):
    """The byte-level tokenizer with other parts; only the changes are written down."""
    j = json.loads(json.dumps(gpt2))
    for k, v in changes.items():
        if k == "model":
            j["model"].update(v)
        else:
            j[k] = v
    tok[name] = Tokenizer.from_str(json.dumps(j))
    variants[name] = ["gpt2", changes]


variants = {}
GPT4 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
split = lambda regex: {"type": "Split", "pattern": {"Regex": regex}, "behavior": "Isolated", "invert": False}
variant("gpt4", pre_tokenizer={"type": "Sequence", "pretokenizers": [split(GPT4), level]}, model={"ignore_merges": True})
variant("qwen2", pre_tokenizer={"type": "Sequence", "pretokenizers": [split(GPT4.replace("{1,3}", "")), level]},
        normalizer={"type": "NFC"})
variant("roberta", pre_tokenizer={"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
        post_processor={"type": "RobertaProcessing", "sep": ["</s>", 701], "cls": ["<s>", 700], "trim_offsets": True, "add_prefix_space": True},
        added_tokens=gpt2["added_tokens"] + [
            {"id": 700, "content": "<s>", "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True},
            {"id": 701, "content": "</s>", "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True},
            {"id": 702, "content": "<pad>", "single_word": True, "lstrip": False, "rstrip": False, "normalized": False, "special": True},
            {"id": 703, "content": "[MASK]", "single_word": False, "lstrip": True, "rstrip": True, "normalized": False, "special": True},
            {"id": 704, "content": "quick", "single_word": False, "lstrip": False, "rstrip": False, "normalized": True, "special": False}])
variant("digits", pre_tokenizer={"type": "Sequence", "pretokenizers": [
    {"type": "Digits", "individual_digits": True}, {"type": "Punctuation", "behavior": "Contiguous"},
    {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}]},
    normalizer={"type": "Sequence", "normalizers": [{"type": "NFKC"}, {"type": "Strip", "strip_left": True, "strip_right": True}]})
variant("lowered", normalizer={"type": "Sequence", "normalizers": [{"type": "NFD"}, {"type": "StripAccents"}, {"type": "Lowercase"},
                                                                    {"type": "Replace", "pattern": {"String": "fox"}, "content": "cat"}]})
variant("nfkd", normalizer={"type": "NFKD"})

# SentencePiece's way: a visible blank, bytes for unknown characters.
t = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
t.normalizer = normalizers.Sequence([normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")])
t.pre_tokenizer = pre_tokenizers.Split("\u2581", "merged_with_next")
t.decoder = decoders.Sequence([decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
t.train_from_iterator([x for x in TEXT if x.isascii()], trainers.BpeTrainer(
    vocab_size=600, special_tokens=["<unk>", "<s>", "</s>"] + ["<0x%02X>" % b for b in range(256)], show_progress=False))
# The bytes are tokens of the model, not to be found in texts.
j = json.loads(t.to_str())
j["added_tokens"] = j["added_tokens"][:3]
j["pre_tokenizer"] = None
t = Tokenizer.from_str(json.dumps(j))
t.post_processor = processors.TemplateProcessing(single="<s> $A", pair="<s> $A <s>:1 $B:1", special_tokens=[("<s>", 1)])
keep("llama", t)

# Words with an end mark, unknown characters.
t = Tokenizer(models.BPE(unk_token="[UNK]", end_of_word_suffix="</w>", fuse_unk=False))
t.pre_tokenizer = pre_tokenizers.Whitespace()
t.normalizer = normalizers.Lowercase()
t.decoder = decoders.BPEDecoder("</w>")
t.train_from_iterator(TEXT[:2] + TEXT[7:8] * 3, trainers.BpeTrainer(vocab_size=250, special_tokens=["[UNK]"], end_of_word_suffix="</w>", show_progress=False))
keep("suffix", t)

# Metaspace as a pre-tokenizer.
t = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True))
t.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
t.decoder = decoders.Metaspace(prepend_scheme="first")
t.train_from_iterator(TEXT[:4], trainers.BpeTrainer(vocab_size=300, special_tokens=["<unk>", "<|endoftext|>"], show_progress=False))
keep("metaspace", t)

# BERT.
for name, lower in (("bert", True), ("bert_cased", False)):
    t = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    t.normalizer = normalizers.BertNormalizer(lowercase=lower)
    t.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    t.decoder = decoders.WordPiece()
    t.train_from_iterator(TEXT, trainers.WordPieceTrainer(vocab_size=600, limit_alphabet=300, show_progress=False,
                                                          special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]))
    t.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1",
                                                     special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    if lower:
        keep(name, t)
        words = sorted(t.get_vocab().items(), key=lambda e: e[1])
        with open(os.path.join(here, "bert-vocab.txt"), "w", encoding="utf-8") as f:
            f.write("".join(w + "\n" for w, _ in words))
    else:
        keep(name, t)

cases = []


def case(name, a, b=None, **options):
    t = tok[name]
    special = options.get("special_tokens", True)
    t.no_truncation()
    if "max_length" in options:
        t.enable_truncation(options["max_length"], strategy=options.get("strategy", "longest_first"), direction=options.get("direction", "right"))
    e = t.encode(a, b, add_special_tokens=special)
    cases.append([name, a, b, options, e.ids, e.type_ids, t.decode(e.ids, skip_special_tokens=not options.get("keep", False))])


for name in tok:
    for s in NASTY:
        case(name, s)
    case(name, TEXT[0], keep=True)
    case(name, "first <s> text", "second <|endoftext|> one [SEP]", keep=True)
    case(name, "first text", "second one", special_tokens=False)
rnd = random.Random(1)
for _ in range(40):
    a, b = (" ".join(rnd.choices(TEXT[7].split(), k=rnd.randint(1, 12))) for _ in range(2))
    case("bert", a, b, max_length=rnd.randint(3, 40), direction=rnd.choice(["left", "right"]))
    case("bert", a, max_length=rnd.randint(2, 12))
for s in ("only_first", "only_second"):
    tok["bert"].no_truncation()
    case("bert", TEXT[7], TEXT[0], max_length=len(tok["bert"].encode(TEXT[7], TEXT[0]).ids) - 5, strategy=s)

# Random mixtures of everything.
pool = [c for s in NASTY for c in s] + list(" \n'\u0301")
for _ in range(60):
    s = "".join(rnd.choices(pool, k=rnd.randint(1, 24)))
    for name in ("gpt2", "gpt4", "bert", "digits"):
        case(name, s)

out = json.dumps({"variants": variants, "text": TEXT[:10], "cases": cases}, ensure_ascii=True, separators=(",", ":"))
with open(os.path.join(here, "cases.json.gz"), "wb") as f:
    f.write(gzip.compress(out.encode(), 9, mtime=0))
print(len(cases), "cases")

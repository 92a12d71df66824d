#!/bin/sh
# Every example on little work: it must learn, write what it promises, and refuse what it cannot do.
#   examples_test.sh EXAMPLES FOLDER SOURCE
set -eu
examples=$1 work=$2/examples.$$ source=$3
mkdir -p "$work"
trap 'rm -rf "$work"' EXIT
say() { echo "examples: $*"; }
die() { say "$*" >&2; exit 1; }
# The first number after $2 in the file $1 must compare ($3: an awk operator) with $4.
check() {
  value=$(sed -n "s/.*$2 *\([0-9.]*\).*/\1/p" "$1" | tail -n 1)
  [ -n "$value" ] || die "no number after '$2' in: $(cat "$1")"
  awk "BEGIN { exit !($value $3 $4) }" || die "$2 $value, expected $3 $4"
  say "$2 $value"
}

# Sorting: 400 steps are enough for short lists.
"$examples/s2s_sort" --steps 400 --longest 6 --hidden 96 --test 100 --save "$work/sort.safetensors" --lr 0.01 > "$work/out"
check "$work/out" "greedy:" ">" 40
"$examples/s2s_sort" --steps 0 --longest 6 --hidden 96 --test 100 --load "$work/sort.safetensors" > "$work/again"
[ "$(grep greedy "$work/out")" = "$(grep greedy "$work/again")" ] || die "a loaded model sorts otherwise"

# Letters: the library's own headers as a text; without a model a letter costs log2(letters) = 6.5 bits.
cat "$source"/knet/*/*.hpp | head -c 60000 > "$work/text"
for model in lstm gpt; do
  "$examples/char_lm" --text "$work/text" --model $model --epochs 3 --size 64 --length 32 --batch 16 --lr 0.005 \
    --sample 80 --quiet > "$work/out"
  check "$work/out" "unseen text:" "<" 4.3
done
if "$examples/char_lm" --text "$work/none" 2> "$work/out"; then die "char_lm took a file that is not there"; fi

# GPT-2 of byte pairs on the same text: 400 tokens by chance are a perplexity of 400.
"$examples/gpt2" --train "$work/text" --vocabulary 400 --size 64 --layers 2 --positions 64 --length 32 --epochs 3 \
  --lr 0.005 --tokens 20 --save "$work/gpt2" --quiet > "$work/out"
check "$work/out" "unseen text: perplexity" "<" 100
"$examples/gpt2" --folder "$work/gpt2" --evaluate "$work/text" > "$work/out"
check "$work/out" "text: perplexity" "<" 120
"$examples/gpt2" --folder "$work/gpt2" --prompt "namespace" --tokens 10 --top-k 5 > "$work/out"
"$examples/gpt2" --folder "$work/gpt2" --prompt "namespace" --tokens 10 --top-k 5 > "$work/again"
grep -q "^namespace" "$work/out" || die "gpt2: $(cat "$work/out")"
cmp -s "$work/out" "$work/again" || die "gpt2 writes otherwise with the same seed"
if "$examples/gpt2" --folder "$work" 2> "$work/out"; then die "gpt2 took a folder without a model"; fi
grep -q "config.json" "$work/out" || die "gpt2: $(cat "$work/out")"
printf 'caf\351' > "$work/latin1"
if "$examples/gpt2" --train "$work/latin1" 2> "$work/out"; then die "gpt2 took a text that is not UTF-8"; fi

# Words: LSTM and GRU, the output table tied and not.
tr -cs 'A-Za-z\n' ' ' < "$work/text" > "$work/words"
"$examples/word_lm" --text "$work/words" --model gru --tied --size 64 --layers 1 --epochs 3 --min-count 3 --quiet \
  --sample 10 > "$work/out"
check "$work/out" "unseen text: perplexity" "<" 150
"$examples/word_lm" --text "$work/words" --test "$work/words" --size 32 --layers 2 --epochs 1 --min-count 3 --quiet > "$work/out"
check "$work/out" "test text: perplexity" "<" 300
if "$examples/word_lm" --text "$work/latin1" 2> "$work/out"; then die "word_lm took a text that is not UTF-8"; fi

# Vectors of sentences, where published weights are at hand.
if "$examples/sentences" --folder "$work" "a" "b" 2> "$work/out"; then die "sentences took an empty folder"; fi
if [ -n "${KNET_MINILM:-}" ]; then
  "$examples/sentences" --folder "$KNET_MINILM" "A man is eating food." "Someone has a meal." "It is raining." > "$work/out"
  [ "$(sort -r "$work/out" | grep -c "|")" = 3 ] || die "sentences: $(cat "$work/out")"
  grep "|" "$work/out" | sort -r | head -n 1 | grep -q "food.*meal" || die "sentences: $(cat "$work/out")"
else
  say "KNET_MINILM does not name a folder with all-MiniLM-L6-v2: sentences is not run"
fi

# Word vectors: what kind of thing is a word that was not in the lists?
vectors=${KNET_DATA:-$source/../shared/data}/glove/glove.20k.100d.txt.gz
if [ -f "$vectors" ]; then
  "$examples/glove_classifier" --vectors "$vectors" --splits 2 --steps 60 --ask "brown rice" > "$work/out"
  check "$work/out" "held-out accuracy:" ">" 80
  grep -q "brown rice: food" "$work/out" || die "$(cat "$work/out")"
else
  say "no $vectors: glove_classifier is skipped"
fi

# What the program $2... says when it can not.
refuses() {
  reason=$1; shift
  if "$@" > "$work/out" 2>&1; then die "was not refused: $*"; fi
  grep -q "$reason" "$work/out" || die "'$reason' is not in: $(cat "$work/out")"
}

# Morphology: three sentences by heart, measured, written, read again, taken over into another model.
mkdir "$work/UD_Turkish"
for part in train dev test; do
  printf '%s\n' '# text = Evler geldi .' \
    '1	Evler	ev	NOUN	_	Case=Nom|Number=Plur	0	root	_	_' \
    '2	geldi	gel	VERB	_	Tense=Past	1	x	_	_' '3	.	.	PUNCT	_	_	1	x	_	_' '' \
    '1	Kapı	kapı	NOUN	_	Case=Nom|Number=Sing	0	root	_	_' \
    '2	geldi	gel	VERB	_	Tense=Past	1	x	_	_' '' > "$work/UD_Turkish/tr-ud-$part.conllu"
done
morse() {
  "$examples/morse" --data "$work" --langcode tr --hiddenSizes 24 24 24 24 --embedSizes 16 16 --dropouts 0 --quiet \
    --logFile "$work/logs/m" --genFile "$work/generations/m" --bestModel "$work/$model" "$@"
}
for type in MorseModel S2SContext S2S Classifier MorseDis S2SContextDis; do
  model=best
  lemma=--lemma; [ $type != Classifier ] || lemma=
  morse --modelType $type $lemma --epochs 40 --optimizer "Adam(;lr=0.02,gclip=60)" > "$work/out"
  check "$work/out" "test: all.*complete" "==" 100
  morse --modelType $type $lemma --mode 2 > "$work/out"
  check "$work/out" "test: all.*complete" "==" 100
done
name=.MorseModel_lemma_true_lang_UD-tr_size_full
grep -q '^1	Evler	ev	NOUN	_	Case=Nom|Number=Plur' "$work/generations/m$name.test.conllu" || die "morse wrote no analyses"
[ "$(wc -l < "$work/logs/m$name.csv")" -gt 10 ] || die "morse's log: $(cat "$work/logs/m$name.csv")"
morse --lemma --modelFile "$work/best$name.safetensors" --text "KAPI geldi ." > "$work/out"
grep -q '^KAPI	kapı+Upos=NOUN+Case=Nom+Number=Sing$' "$work/out" || die "morse --text: $(cat "$work/out")"
morse --lemma --modelType MorseDis --mode 2 --modelFile "$work/best$name.safetensors" > "$work/out"  # the same network
model=transferred
morse --lemma --mode 3 --sourceModel "$work/best$name.safetensors" --trainSize 1 --batchSize 2 > "$work/out"
check "$work/out" "taken over: all layers," ">" 5
refuses "holds a MorseModel" morse --modelType S2S --mode 2 --modelFile "$work/best$name.safetensors"
refuses "no Morse model" morse --mode 2 --modelFile "$work/sort.safetensors"
refuses "no model type" morse --modelType LSTM
refuses "sv-ud-train.conllu" "$examples/morse" --data "$work" --langcode sv
refuses "no setting of SGD" morse --optimizer "SGD(;rate=1)"
refuses "sourceModel" morse --mode 3
model=best
morse --lemma --mode 2 --fresh > "$work/out"  # what is measured is never new
check "$work/out" "test: all.*complete" "==" 100
refuses "UTF-8" morse --lemma --modelFile "$work/best$name.safetensors" --text "$(cat "$work/latin1")"

# Photographs.
"$examples/classify" --list | grep -q "resnet50-0676ba61.pth" || die "classify --list"
refuses "known are resnet18" "$examples/classify" --model resnet51 any.png
refuses "https://download.pytorch.org" env XDG_CACHE_HOME="$work" "$examples/classify" --model resnet18 any.png
refuses "no images" "$examples/classify"
refuses "README.md" "$examples/classify" --weights "$source/README.md" any.png

# Images: Debian's Fashion-MNIST, where it is installed.
clothes=${KNET_FASHION_MNIST:-/usr/share/datasets/fashion-mnist}
if [ ! -d "$clothes" ]; then
  say "no Fashion-MNIST in $clothes (apt install dataset-fashion-mnist): mnist_cnn and gan_mlp are skipped"
  exit 0
fi
"$examples/mnist_mlp" --data fashion_mnist --folder "$clothes" --epochs 1 --batch 500 --hidden 16 --quiet --summary \
  --log "$work/log.csv" --tensorboard "$work/board" --trace "$work/trace.json" > "$work/out"
[ "$(tail -n 1 "$work/out" | cut -d: -f1)" = "test accuracy" ] || die "mnist_mlp: $(cat "$work/out")"
grep -q "FLOPs" "$work/out" || die "mnist_mlp printed no summary"
[ "$(wc -l < "$work/log.csv")" = 2 ] || die "mnist_mlp's log: $(cat "$work/log.csv")"
[ -s "$work/trace.json" ] || die "mnist_mlp wrote no trace"
ls "$work/board" | grep -q tfevents || die "mnist_mlp wrote no events"
"$examples/mnist_cnn" --data fashion_mnist --folder "$clothes" --limit 6000 --epochs 2 --quiet --save "$work/cnn.safetensors" > "$work/out"
check "$work/out" "test accuracy:" ">" 70
"$examples/gan_mlp" --data fashion_mnist --folder "$clothes" --limit 640 --epochs 2 --hidden 64 --quiet --every 2 \
  --classifier "$work/cnn.safetensors" --png "$work/grid-%02d.png" > "$work/out" || {
    grep -q "without libpng" "$work/out" || die "$(cat "$work/out")"; }
check "$work/out" "discriminator" "<" 2
[ -s "$work/grid-02.png" ] || die "gan_mlp wrote no grid"
"$examples/vae" --data fashion_mnist --folder "$clothes" --limit 2000 --epochs 2 --hidden 64 --code 8 --quiet \
  --png "$work/vae-%02d.png" > "$work/out" || { grep -q "without libpng" "$work/out" || die "$(cat "$work/out")"; }
check "$work/out" "test ELBO: -" "<" 470
if "$examples/mnist_cnn" --folder "$work" 2> "$work/out"; then die "mnist_cnn took an empty folder"; fi
"$examples/resnet_fashion" --data fashion_mnist --folder "$clothes" --limit 1500 --epochs 3 --width 8 --batch 25 --lr 0.05 --quiet \
  --save "$work/resnet.safetensors" > "$work/out"
check "$work/out" "test accuracy:" ">" 30
refuses "does not hold the weights" "$examples/classify" --model resnet18 --weights "$work/resnet.safetensors" any.png

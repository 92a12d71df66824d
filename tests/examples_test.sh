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
# The program must fail and say so.
refuses() {
  reason=$1; shift
  status=0
  "$@" > "$work/refused" 2>&1 || status=$?
  [ $status != 0 ] || die "was not refused: $*"
  [ $status -lt 128 ] || die "crashed: $*"
  grep -q -- "$reason" "$work/refused" || die "'$reason' is not in what '$*' says: $(cat "$work/refused")"
}

# Flags that there are not, or whose values make no sense.
for program in char_lm classify dcgan gan_mlp glove_classifier gpt2 mnist_cnn mnist_mlp resnet_fashion s2s_sort sentences \
    storycloze vae word_lm; do
  refuses "not expected\|required" "$examples/$program" --no-such-flag
  "$examples/$program" --help | grep -q -- "--help" || die "$program --help"
done
for program in char_lm dcgan gan_mlp mnist_cnn mnist_mlp resnet_fashion s2s_sort storycloze vae word_lm; do
  refuses "--seed\|--text" "$examples/$program" --seed minus
  refuses "--lr\|--text" "$examples/$program" --lr no
done
for program in dcgan gan_mlp mnist_cnn mnist_mlp resnet_fashion vae; do
  refuses "--batch" "$examples/$program" --batch 0
  refuses "--data" "$examples/$program" --data cifar
  refuses "IDX\|idx" env XDG_CACHE_HOME="$work" KNET_OFFLINE=1 "$examples/$program" --folder "$work/none"
done
refuses "--classifier" "$examples/dcgan" --classifier "$work/none"
refuses "--beam" "$examples/s2s_sort" --beam 0
refuses "--longest" "$examples/s2s_sort" --longest 0
refuses "none" "$examples/s2s_sort" --steps 0 --test 1 --load "$work/none"
refuses "README.md" "$examples/s2s_sort" --steps 0 --test 1 --load "$source/README.md"
refuses "--optimizer" "$examples/mnist_mlp" --optimizer lion --folder "$work"

# Sorting: 400 steps are enough for short lists.
"$examples/s2s_sort" --steps 400 --longest 6 --hidden 96 --test 100 --save "$work/sort.safetensors" --lr 0.01 > "$work/out"
check "$work/out" "greedy:" ">" 40
"$examples/s2s_sort" --steps 0 --longest 6 --hidden 96 --test 100 --load "$work/sort.safetensors" > "$work/again"
[ "$(grep greedy "$work/out")" = "$(grep greedy "$work/again")" ] || die "a loaded model sorts otherwise"
# With attention; and the same again with a stop in the middle.
sort="$examples/s2s_sort --steps 300 --every 100 --longest 6 --hidden 64 --test 100 --lr 0.01 --attention --quiet"
$sort --log "$work/sort.jsonl" > "$work/out"
check "$work/out" "greedy:" ">" 90
[ "$(wc -l < "$work/sort.jsonl")" = 3 ] || die "s2s_sort's log: $(cat "$work/sort.jsonl")"
$sort --checkpoints "$work/sort" > /dev/null
rm "$work/sort/checkpoint-000003.safetensors"
$sort --checkpoints "$work/sort" > "$work/again"
grep -q "going on after 2 epochs" "$work/again" || die "s2s_sort did not go on: $(cat "$work/again")"
[ "$(grep greedy "$work/out")" = "$(grep greedy "$work/again")" ] || die "a run that was stopped sorts otherwise"
refuses "sort" "$examples/s2s_sort" --checkpoints "$work/sort" --hidden 32

# Letters: the library's own headers as a text; without a model a letter costs log2(letters) = 6.5 bits.
cat "$source"/knet/*/*.hpp | head -c 60000 > "$work/text"
for model in lstm gpt; do
  "$examples/char_lm" --text "$work/text" --model $model --epochs 3 --size 64 --length 32 --batch 16 --lr 0.005 \
    --sample 80 --quiet > "$work/out"
  check "$work/out" "unseen text:" "<" 4.3
done
printf 'caf\351' > "$work/latin1"
refuses "--text" "$examples/char_lm" --text "$work/none"
refuses "UTF-8" "$examples/char_lm" --text "$work/latin1"
refuses "--model" "$examples/char_lm" --text "$work/text" --model transformer
refuses "too few" "$examples/char_lm" --text "$work/text" --length 10000
refuses "--top-p" "$examples/char_lm" --text "$work/text" --top-p 2
refuses "letters" "$examples/char_lm" --text "$work/text" --epochs 0 --size 64 --length 32 --load "$work/sort.safetensors"

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
refuses "config.json" "$examples/gpt2" --folder "$work"
refuses "UTF-8" "$examples/gpt2" --train "$work/latin1"
refuses "UTF-8" "$examples/gpt2" --folder "$work/gpt2" --evaluate "$work/latin1"
refuses "UTF-8" "$examples/gpt2" --folder "$work/gpt2" --prompt "$(cat "$work/latin1")"
refuses "64 positions" "$examples/gpt2" --folder "$work/gpt2" --prompt "$(head -c 2000 "$work/text")"
refuses "huggingface.co" env XDG_CACHE_HOME="$work" "$examples/gpt2" --folder gpt2-medium
refuses "known are gpt2" "$examples/gpt2" --folder "$work/none"
refuses "gpt2-medium" "$examples/gpt2" --random gpt5
refuses "--train, --random\|--train or --random" "$examples/gpt2" --tokens 3
refuses "temperature" "$examples/gpt2" --folder "$work/gpt2" --prompt a --temperature -1
refuses "top_p" "$examples/gpt2" --folder "$work/gpt2" --prompt a --top-p 0
# Beyond the positions the text goes on.
"$examples/gpt2" --folder "$work/gpt2" --prompt "namespace" --tokens 100 > "$work/out"

# The right ending of made-up stories, of which half are right by chance.
"$examples/storycloze" --synthetic "$work/stories" --stories 600
"$examples/storycloze" --train "$work/stories" --test "$work/stories" --epochs 8 --lr 2e-3 --accumulate 1 --dropout 0 --size 32 \
  --layers 1 --quiet --save "$work/cloze" --log "$work/cloze.csv" > "$work/out"
check "$work/out" "test accuracy:" ">" 90
[ -s "$work/cloze/tokenizer.json" ] || die "storycloze wrote no tokenizer"
[ "$(wc -l < "$work/cloze.csv")" = 9 ] || die "storycloze's log: $(cat "$work/cloze.csv")"
refuses "give --train" "$examples/storycloze"
refuses "params_shapes.json" "$examples/storycloze" --train "$work/stories" --test "$work/stories" --pretrained "$work"
refuses "config.json" "$examples/storycloze" --train "$work/stories" --test "$work/stories" --gpt2 "$work"
refuses "no file cloze_test_val" "$examples/storycloze" --train "$work" --test "$work/stories"
refuses "README.md" "$examples/storycloze" --train "$source/README.md" --test "$work/stories"
sed "s/Anna/$(cat "$work/latin1")/" "$work/stories/cloze_test_test__spring2016 - synthetic.csv" > "$work/latin1.csv"
refuses "UTF-8" "$examples/storycloze" --train "$work/latin1.csv" --test "$work/stories"
refuses "an ending" "$examples/storycloze" --train "$work/stories" --test "$work/stories" --length 6

# Words: LSTM and GRU, the output table tied and not.
tr -cs 'A-Za-z\n' ' ' < "$work/text" > "$work/words"
"$examples/word_lm" --text "$work/words" --model gru --tied --size 64 --layers 1 --epochs 3 --min-count 3 --quiet \
  --sample 10 > "$work/out"
check "$work/out" "unseen text: perplexity" "<" 150
"$examples/word_lm" --text "$work/words" --test "$work/words" --size 32 --layers 2 --epochs 1 --min-count 3 --quiet > "$work/out"
check "$work/out" "test text: perplexity" "<" 300
words="$examples/word_lm --text $work/words --size 32 --layers 1 --min-count 3 --quiet"
$words --epochs 2 > "$work/out"
$words --epochs 1 --checkpoints "$work/words.kept" > /dev/null
$words --epochs 2 --checkpoints "$work/words.kept" > "$work/again"
[ "$(tail -n 1 "$work/out")" = "$(tail -n 1 "$work/again")" ] || die "word_lm goes on otherwise: $(cat "$work/again")"
refuses "UTF-8" "$examples/word_lm" --text "$work/latin1"
refuses "--model" "$examples/word_lm" --text "$work/words" --model gpt
refuses "too few" "$examples/word_lm" --text "$work/words" --batch 100000
refuses "--valid" "$examples/word_lm" --text "$work/words" --valid "$work/none"

# Vectors of sentences, where published weights are at hand.
refuses "config.json" "$examples/sentences" --folder "$work" "a" "b"
refuses "known are gpt2" "$examples/sentences" --folder "$work/none" "a" "b"
refuses "UTF-8" "$examples/sentences" --folder "$work" --file "$work/latin1"
refuses "there is none" "$examples/sentences" --folder "$work"
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
  refuses "README.md" "$examples/glove_classifier" --vectors "$source/README.md"
else
  say "no $vectors: glove_classifier is skipped"
fi

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

# Photographs: what the program says when it can not.
"$examples/classify" --list | grep -q "resnet50-0676ba61.pth" || die "classify --list"
refuses "known are resnet18" "$examples/classify" --model resnet51 any.png
refuses "https://download.pytorch.org" env XDG_CACHE_HOME="$work" "$examples/classify" --model resnet18 any.png
refuses "no images" "$examples/classify"
refuses "README.md" "$examples/classify" --weights "$source/README.md" any.png
refuses "README.md" "$examples/classify" --random --model resnet18 "$source/README.md"
refuses "none.png" "$examples/classify" --random --model resnet18 "$work/none.png"
refuses "none.txt" "$examples/classify" --random --model resnet18 --labels "$work/none.txt" any.png

# MAC: a little Sort-of-CLEVR (a model that knows nothing has a loss of 2.3), then such scenes in CLEVR's layout from
# files to answers. Features of random weights are features.
"$examples/mac_sort_of_clevr" --passes 4 --images 120 --batch 4 --lr 0.003 --size 24 --steps 2 --test 20 --configuration 2 \
  --save "$work/mac.safetensors" > "$work/out"
check "$work/out" "pass 4.* loss" "<" 1
"$examples/mac_sort_of_clevr" --passes 0 --size 24 --steps 2 --test 20 --configuration 2 --load "$work/mac.safetensors" \
  --draw "$work/maps-%d.png" > "$work/again" || { grep -q "without libpng" "$work/again" || die "$(cat "$work/again")"; }
[ "$(sed -n 's/.*loss [0-9.]*, \(non-rel.*\)/\1/p' "$work/out" | tail -n 1)" = "$(grep '^non-rel' "$work/again")" ] ||
  die "a loaded MAC answers otherwise"
if [ -s "$work/maps-0.png" ]; then
  "$examples/mac_sort_of_clevr" --write-clevr "$work/clevr" --images 10 --test 4
  mac="$examples/mac_clevr --quiet --data $work/mac --clevr $work/clevr --model $work/mac/model.safetensors --depth 18 \
--size 32 --steps 3 --embedding 16"
  $mac preprocess > "$work/out"
  grep -q "^train: 200 questions" "$work/out" || die "$(cat "$work/out")"
  $mac extract --weights random > "$work/out"
  $mac train --epochs 25 --lr 0.003 --batch 20 --no-dropout --decay 0.9 > "$work/out"
  check "$work/out" "epoch 25: loss" "<" 1
  $mac evaluate > "$work/out"
  check "$work/out" "train, all:" ">" 55
  check "$work/out" "val, count:" "<" 101
  $mac draw --picture 2 --question "Is the red object on the left?" --png "$work/clevr.png" > "$work/out"
  [ -s "$work/clevr.png" ] || die "mac_clevr drew nothing"
  refuses "the word 'purple'" $mac draw --question "Is the purple object on the left?"
  refuses "the question is empty" $mac draw --question " "
  refuses "neither PNG nor JPEG" sh -c "echo no picture > '$work/clevr/images/val/CLEVR_val_000001.png'; $mac extract --weights random"
  refuses "a picture is missing" sh -c "rm '$work/clevr/images/val/CLEVR_val_000001.png'; $mac extract --weights random"
  head -c 1000 "$work/mac/train.bin" > "$work/short"; mv "$work/short" "$work/mac/train.bin"
  refuses "has 1000 bytes" $mac evaluate
fi

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
gan="$examples/dcgan --folder $clothes --limit 640 --width 4 --quiet --classifier $work/cnn.safetensors"
$gan --epochs 2 --png "$work/dcgan-%02d.png" --every 2 > "$work/out" || { grep -q "without libpng" "$work/out" || die "$(cat "$work/out")"; }
check "$work/out" "discriminator" "<" 2
grep -q "^true images.*score" "$work/out" || die "dcgan: $(cat "$work/out")"
[ -s "$work/dcgan-02.png" ] || die "dcgan wrote no grid"
$gan --epochs 1 --checkpoints "$work/dcgan" > /dev/null
$gan --epochs 2 --checkpoints "$work/dcgan" > "$work/again"
[ "$(grep "epoch 2:" "$work/out")" = "$(grep "epoch 2:" "$work/again")" ] || die "dcgan goes on otherwise: $(cat "$work/again")"
refuses "small.safetensors\|cnn.safetensors" "$examples/mnist_mlp" --data fashion_mnist --folder "$clothes" --epochs 0 \
  --load "$work/cnn.safetensors"
"$examples/vae" --data fashion_mnist --folder "$clothes" --limit 2000 --epochs 2 --hidden 64 --code 8 --quiet \
  --png "$work/vae-%02d.png" > "$work/out" || { grep -q "without libpng" "$work/out" || die "$(cat "$work/out")"; }
check "$work/out" "test ELBO: -" "<" 470
"$examples/resnet_fashion" --data fashion_mnist --folder "$clothes" --limit 1500 --epochs 3 --width 8 --batch 25 --lr 0.05 --quiet \
  --save "$work/resnet.safetensors" > "$work/out"
check "$work/out" "test accuracy:" ">" 30
refuses "does not hold the weights" "$examples/classify" --model resnet18 --weights "$work/resnet.safetensors" any.png

#!/usr/bin/env bash
# The main job, end to end: render videos with a known future distribution, pretrain a world model and its deterministic
# twin, score both on held-out videos, extract embeddings, write a page that shows it all.
#   bash scripts/quickstart.sh               # at most 6 minutes on 2 cores, after the first install
#   bash scripts/quickstart.sh --reduced     # the same road in under 2 minutes, with too little training to mean anything
#   bash scripts/quickstart.sh --name mine   # into runs/mine and so on, beside an earlier quickstart
# Makes .venv and installs if that is not done yet. Only that needs the network.
set -euo pipefail

# shellcheck source=scripts/environment.sh
. "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

usage() { sed -n '2,/^set -/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; }

wrong_use() {
    printf 'error: %s See: bash %s --help\n' "$*" "$0" >&2
    exit 2
}

reduced=false
name=""
while [ $# -gt 0 ]; do
    case $1 in
        --reduced) reduced=true ;;
        --name)
            [ $# -ge 2 ] || wrong_use "--name needs a name."
            name=$2
            shift
            ;;
        -h | --help)
            usage
            exit 0
            ;;
        *) wrong_use "unknown argument: $1." ;;
    esac
    shift
done
if [ -z "$name" ]; then
    name=quickstart
    ! $reduced || name=quickstart-reduced
fi
case $name in *[!A-Za-z0-9._-]* | .*) wrong_use "expected a --name of letters, digits, '.', '_' and '-', got '$name'." ;; esac

num_videos=6000
training=()
evaluation=()
if $reduced; then
    num_videos=400
    training=(--training.max_steps 60)
    evaluation=(--num_contexts 40 --num_samples 8)
fi

prepare_environment
cd "$root"
export OMP_NUM_THREADS=1  # two trainings side by side, one thread each
videossl=$environment/bin/videossl
videos=data/$name
[ "$name" != quickstart ] || videos=data/digits  # where configs/pretrain/quickstart.yaml looks for them
run=runs/$name
twin=runs/$name-twin
embeddings=embeddings/$name
twin_log=$twin.log
begin=$SECONDS

earlier=""
for folder in "$videos" "$run" "$twin" "$embeddings"; do
    [ ! -e "$folder" ] || earlier="$earlier $folder"
done
if [ -n "$earlier" ]; then
    say "replacing what an earlier quickstart left:$earlier"
    say "(to keep it, stop now and give another name: bash scripts/quickstart.sh --name quickstart-2)"
    [ ! -t 0 ] || sleep 5  # time to read that and stop
fi

step=0
step() {  # what is done; the command follows it
    local title=$1 started=$SECONDS
    shift
    step=$((step + 1))
    printf '\n[%d/5] %s\n$ videossl %s\n' "$step" "$title" "$*"
    "$videossl" "$@" || fail "step $step of 5 failed: videossl $*"
    say "    done in $((SECONDS - started)) s"
}

# The twin trains in the background during step 2. It must not outlive this script.
twin_process=""
stop_twin() { [ -z "$twin_process" ] || kill "$twin_process" 2>/dev/null || true; }
trap stop_twin EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

step "render $num_videos videos whose futures are known: a digit that may be kicked in 8 directions" \
    world digits --config configs/world/quickstart.yaml --out "$videos" --num_videos "$num_videos" --overwrite true

mkdir -p runs
"$videossl" pretrain --config configs/pretrain/quickstart_twin.yaml --data.videos "$videos" --out "$twin" \
    --overwrite true ${training[@]+"${training[@]}"} >"$twin_log" 2>&1 &
twin_process=$!
step "pretrain the world model; beside it its deterministic twin (log: $twin_log)" \
    pretrain --config configs/pretrain/quickstart.yaml --data.videos "$videos" --out "$run" \
    --overwrite true ${training[@]+"${training[@]}"}
! kill -0 "$twin_process" 2>/dev/null || say "    waiting for the twin"
twin_status=0
wait "$twin_process" || twin_status=$?
twin_process=""
[ "$twin_status" -eq 0 ] ||
    fail "the twin's training failed with exit code $twin_status: $(tail -n 1 "$twin_log") The whole output: $root/$twin_log"

step "score both on held-out videos: which futures do they expect?" \
    evaluate --run "$run" --twin "$twin" ${evaluation[@]+"${evaluation[@]}"}

step "extract embeddings, one per tubelet of every video" \
    extract --run "$run" --videos "$videos" --out "$embeddings" --level frame --overwrite true

step "write the page" report --run "$run"

for result in "$run/weights.safetensors" "$run/evaluation/metrics.json" "$embeddings/part-00000.parquet" "$run/report.html"; do
    [ -s "$result" ] || fail "every step ended well, but $result is missing or empty. This is a bug in videossl."
done
printf '\nAll done in %d s after the install.\n' $((SECONDS - begin))
! $reduced || say "This was the reduced form: it shows that the road works, its figures mean nothing."
say "Embeddings: $root/$embeddings"
say "Open in a browser: $root/$run/report.html"

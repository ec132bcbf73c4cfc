#!/usr/bin/env bash
# All that shows the CUDA back end right and fast, in one command and less than nine minutes, on a machine with a GPU: from a bare checkout,
# without a network, without data sets. It builds, compiles every kernel, runs `pytest -m gpu` and the comparison with PyTorch; one table
# comes last, whatever went wrong before. Without a GPU it says why everything was skipped, and ends at once.
#
#     bash benchmarks/gpu_check.sh [FOLDER]
#
# FOLDER is where logs and results go (default: gpu-check in the current folder). PYTHON names the interpreter (default: python3); nothing is
# installed into it. Exit status: 0 where all went well or was skipped, 1 where a part failed.
set -uo pipefail
python=${PYTHON:-python3}
mkdir -p "${1:-gpu-check}" || exit 1
out=$(cd "${1:-gpu-check}" && pwd)
cd "$(dirname "$0")/.." || exit 1
limit=${GPU_CHECK_SECONDS:-520}             # for everything; a part gets no more than is left
failed=0 rows=""

left() { echo $((limit - SECONDS)); }
note() { rows+=$(printf '%-10s %-8s %s' "$1" "$2" "$3")$'\n'; }
last() { grep -v '^[[:space:]]*$' "$out/$1.log" | tail -n 1 | cut -c 1-150; }

table() {
  printf '\n== gpu_check: %s, %ss\n' "$(git rev-parse --short HEAD 2>/dev/null || echo 'no commit')" "$SECONDS"
  printf '%-10s %-8s %s\n%s' part state "what it said last; the logs are in $out" "$rows"
  [ -f "$out/peers.log" ] && sed -n '/^measured:/p' "$out/peers.log" && sed -n '/^what must hold/,/^$/p' "$out/peers.log"
}
trap table EXIT

# part NAME SECONDS COMMAND...: run it for at most so many seconds; its output goes to a log, of which the end is shown.
part() {
  local name=$1 seconds=$2 begun=$SECONDS status; shift 2
  [ "$(left)" -lt "$seconds" ] && seconds=$(left)
  if [ "$seconds" -lt 5 ]; then note "$name" skipped "no time was left"; return 1; fi
  printf '\n== %s, at %ss, for %ss at most\n' "$name" "$SECONDS" "$seconds"
  timeout --kill-after=5 "$seconds" "$@" >"$out/$name.log" 2>&1
  status=$?
  tail -n 15 "$out/$name.log"
  case $status in
    0) note "$name" ok "$((SECONDS - begun))s: $(last "$name")" ;;
    124 | 137) note "$name" FAILED "stopped after ${seconds}s: $(last "$name")"; failed=1 ;;
    *) note "$name" FAILED "status $status: $(last "$name")"; failed=1 ;;
  esac
  return $status
}

skip_all() { note "$2" skipped "$1"; for name in "${@:3}"; do note "$name" skipped "for the same reason"; done; }

# Is there a GPU, and what compiles for it? Asked of one file of the package, which needs nothing built.
obstacles=$("$python" - <<'END' 2>&1
import importlib.util, sys
spec = importlib.util.spec_from_file_location("toolchain", "tinygradconv/backends/cuda/toolchain.py")
toolchain = importlib.util.module_from_spec(spec)
sys.modules["toolchain"] = toolchain
spec.loader.exec_module(toolchain)
print("; ".join(toolchain.obstacles()))
END
)
if [ -n "$obstacles" ]; then
  skip_all "${obstacles##*$'\n'}" build doctor kernels tests peers sanitizer
  exit 0
fi

# Into a folder, for the instruction set of this processor only; what stands in the checkout is used with it. With meson-python by pip, else
# by Meson itself.
build() {
  local variants=()
  grep -qw avx2 /proc/cpuinfo 2>/dev/null && variants=(v3)
  rm -rf "$out/site" "$out/build"
  if "$python" -c 'import mesonpy' 2>/dev/null; then
    "$python" -m pip install --no-build-isolation --no-deps --no-index --quiet --target "$out/site" \
      ${variants:+-Csetup-args=-Dvariants=$variants} .
  else
    meson() { if "$python" -c 'import mesonbuild' 2>/dev/null; then "$python" -m mesonbuild.mesonmain "$@"; else command meson "$@"; fi; }
    meson setup "$out/build" . --prefix "$out" "-Dpython.platlibdir=$out/site" "-Dpython.purelibdir=$out/site" ${variants:+-Dvariants=$variants} &&
      meson compile -C "$out/build" && meson install -C "$out/build" --quiet
  fi && PYTHONPATH=$out/site "$python" -c 'import tinygradconv; print("tinygradconv is built:", tinygradconv._compiled.__path__)'
}
export -f build
export python out
if ! part build 170 bash -c build; then
  skip_all "nothing could be built" doctor kernels tests peers sanitizer
  exit 1
fi
export PYTHONPATH=$out/site${PYTHONPATH:+:$PYTHONPATH}

parallel() { "$python" -c "import xdist; print('-n $1')" 2>/dev/null; }
part doctor 40 "$python" -m tinygradconv doctor
part kernels 130 "$python" -m tinygradconv doctor --kernels --processes "$(nproc)"
# shellcheck disable=SC2046
part tests 150 "$python" -m pytest -m gpu -q -p no:cacheprovider $(parallel 6) tests/gpu --ignore tests/gpu/test_sanitizer.py
part peers $(($(left) - 100)) "$python" -m benchmarks.peers gpu --json "$out/peers.json" --seconds $(($(left) - 140))
# shellcheck disable=SC2046
part sanitizer $(($(left) - 5)) "$python" -m pytest -m gpu -q -p no:cacheprovider $(parallel 2) tests/gpu/test_sanitizer.py
exit $failed

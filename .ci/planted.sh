# The steps of ./check that need the feature `planted`: crashes at named moments, and bugs that are planted on purpose.

PLANTED=(cargo test --package server --features planted --test it --locked)

# The program is gone at each moment of a credit's way (server/src/crash.rs), on a real node and both engines.
step_kills() {
  local engine
  install_postgresql
  install_ledger_tools
  for engine in sqlite postgres; do
    SCRIP_TEST_DATABASE=$engine timeout --kill-after=10 "$TEST_TIMEOUT_S" "${PLANTED[@]}" -- kill_points
  done
}

planted_verdict() {
  local code=0 log=$WORK/planted.log
  SCRIP_PLANTED=$1 SCRIP_TEST_DATABASE=$3 timeout --kill-after=10 "$PLANTED_TIMEOUT_S" "${PLANTED[@]}" -- --exact "$2" >"$log" 2>&1 </dev/null || code=$?
  if ! grep -qxE "test $2 \.\.\. (ok|FAILED)" "$log"; then
    echo "not run"
  elif [ "$code" -eq 0 ]; then
    echo "not seen"
  else
    echo seen
  fi
}

# Every harness must see the bug that is planted for it (.ci/planted): its test has to run, and to fail. Those that hunt at
# random moments may miss it in one run; none may miss it in three.
step_planted() {
  local bug name engine run verdict missed=0
  install_postgresql
  "${PLANTED[@]}" --no-run
  while read -r bug name engine; do
    engine=${engine:-sqlite}
    for run in 1 2 3; do
      verdict=$(planted_verdict "$bug" "$name" "$engine")
      [ "$verdict" = "not seen" ] || break
    done
    printf '%-22s %-50s %-8s %s, run %d\n' "$bug" "$name" "$engine" "$verdict" "$run"
    if [ "$verdict" != seen ]; then
      missed=1
      echo "$bug $engine $verdict" >>"$WORK/why.planted"
      tail -n 20 "$WORK/planted.log" >&2
    fi
  done < <(grep -v '^#' .ci/planted)
  [ "$missed" -eq 0 ]
}

"""What owners of printers complain about in other ways to take up an interrupted print, and what guards against it here: the
list by which recovery is accepted.

Every complaint names the tests that would fail if it came true here, or the reason why it cannot be tested.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
OUTAGES, JOURNAL, WATCH = "recovery/test_outages.py", "recovery/test_journal.py", "desk/test_watch.py"

COMPLAINTS: dict[str, list[str] | str] = {
    "The nozzle is driven into the print or the bed: Z was homed, or its height was wrong": [
        f"{OUTAGES}::test_plan_never_homes_z_and_softens_before_it_moves",
        f"{OUTAGES}::test_nozzle_never_touches_the_print_and_no_print_is_lost",
        "recovery/test_interlock.py::test_held_back",
        "e2e/test_recovery.py::test_homing_z_is_held_back_and_so_is_another_print",
    ],
    "It goes on in the air: the firmware had lifted Z by itself before homing": [
        f"{OUTAGES}::test_print_goes_on_in_its_layer_as_near_as_promised",
        "printer/test_hardware.py::test_firmware_lifts_by_itself_before_homing",
        "recovery/test_heights.py::test_a_hop_as_high_as_the_next_layer_is_not_taken_for_it",
    ],
    "X and Y are shifted after homing again": [
        f"{OUTAGES}::test_print_goes_on_in_its_layer_as_near_as_promised",
    ],
    "The state file is empty after a real outage": [
        f"{JOURNAL}::test_cut_at_any_byte_there_is_still_a_record",
        f"{JOURNAL}::test_write_torn_at_any_byte_leaves_the_record_before_it",
        f"{JOURNAL}::test_any_flipped_bit_of_the_last_records_costs_no_more_than_that_record",
    ],
    "Nothing happens: no file, no button, no word": [
        "e2e/test_recovery.py::test_dashboard_is_told_what_happened",
        f"{OUTAGES}::test_what_is_done_fits_what_happened",
    ],
    "It works only with OctoPrint's setting to disconnect on errors": [f"{WATCH}::test_events_become_phases"],
    "A printer that was reset counts as cancelled by the user": [
        f"{WATCH}::test_a_printer_that_starts_anew_is_not_taken_for_a_cancel",
        "e2e/test_recovery.py::test_a_board_that_starts_anew_is_recovered_without_a_restart",
    ],
    "USB keeps the board awake, and the outage is not seen": [
        f"{WATCH}::test_dead_supply_is_seen_by_a_nozzle_that_cools",
        f"{WATCH}::test_cooling_that_was_asked_for_is_no_dead_supply",
        f"{OUTAGES}::test_print_goes_on_in_its_layer_as_near_as_promised",
    ],
    "A blob at the restart: the extruder's position or mode was lost": [
        f"{OUTAGES}::test_plan_never_homes_z_and_softens_before_it_moves",
        "recovery/test_machine.py::test_rule",
    ],
    "A layer is printed twice": [f"{OUTAGES}::test_print_goes_on_in_its_layer_as_near_as_promised"],
    "Moves are lost": [f"{OUTAGES}::test_print_goes_on_in_its_layer_as_near_as_promised"],
    "The hot nozzle rests on the print, or tears it off when it moves": [
        f"{OUTAGES}::test_nozzle_never_touches_the_print_and_no_print_is_lost",
        f"{OUTAGES}::test_plan_never_homes_z_and_softens_before_it_moves",
        "printer/test_hardware.py::test_hard_nozzle_tears_the_print_off",
    ],
    "Bed levelling is lost or wrong afterwards": [
        f"{OUTAGES}::test_mesh_levelling_comes_back_over_the_place_and_keeps_the_height",
    ],
    "Fan, flow and limits are not restored": [
        f"{OUTAGES}::test_what_was_tuned_by_hand_is_restored",
        f"{WATCH}::test_what_is_tuned_by_hand_is_kept",
    ],
    "It works once; the second outage is the end": [
        f"{OUTAGES}::test_resume_heights_are_on_record_for_every_step",
        f"{WATCH}::test_steps_that_lift_are_on_disk_before_they_are_sent",
        f"{WATCH}::test_printer_that_fails_during_the_resume_leaves_the_resume_on_record",
    ],
    "An outage in a pause or a change of filament": [
        f"{OUTAGES}::test_paused_print_is_taken_up_from_where_the_nozzle_was_parked",
        f"{OUTAGES}::test_nozzle_on_its_way_is_measured",
        f"{WATCH}::test_pause_script_that_parks_the_nozzle_is_followed",
        f"{WATCH}::test_outage_in_a_pause_keeps_what_is_known_of_the_pause",
    ],
    "The part comes off the cooled bed": (
        "No software sees that without a camera: it is told as a risk, and nothing moves before somebody has looked."
    ),
    "The memory card wears out": [
        f"{JOURNAL}::test_syncs_are_rare_however_many_lines_there_are",
        f"{JOURNAL}::test_nothing_happening_is_told_ever_more_rarely",
    ],
    "Coordinates are wrong after the second resume, because of an earlier G92": [
        f"{OUTAGES}::test_print_goes_on_in_its_layer_as_near_as_promised",
        "recovery/test_machine.py::test_rule",
    ],
}


@pytest.mark.parametrize("complaint", list(COMPLAINTS))
def test_complaint_has_its_tests(complaint: str) -> None:
    answer = COMPLAINTS[complaint]
    if isinstance(answer, str):
        assert len(answer) > 40
        return
    for named in answer:
        file, _, function = named.partition("::")
        tree = ast.parse((TESTS / file).read_text())
        assert function in {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}, named

/*
 * What went wrong, in the reader's language. The server's own English sentence is the fallback, so that a code that is not
 * listed here is still explained.
 */
$(function () {
    function FacesculptErrorsViewModel() {
        const self = this;

        const notPermitted = [
            gettext("You do not have the permission to do this."),
            gettext("Please log in, or ask the administrator of this OctoPrint.")
        ];

        const errors = {
            no_room_to_keep: [
                gettext("There is little room left on the disk."),
                gettext("Delete it for ever, or make room first.")
            ],
            restore_first: [
                gettext("What it belongs to was deleted, too."),
                gettext("Have that back first.")
            ],
            unreadable_image: [
                gettext("The picture is damaged and cannot be read."),
                gettext("Open it in a picture editor and save it again.")
            ],
            unsupported_format: [
                gettext("This is not a picture, or of a kind that is not supported."),
                gettext("Use a JPEG, PNG, HEIC, WebP or TIFF file.")
            ],
            image_too_large: [
                gettext("The picture is too large."),
                gettext("Save a smaller copy of the picture and use that.")
            ],
            no_face: [
                gettext("No face was found in this photo."),
                gettext("Use a photo in which the face is well lit and not covered.")
            ],
            several_faces: [
                gettext("There are several faces in this photo."),
                gettext("Choose the face that is meant.")
            ],
            face_too_small: [
                gettext("The face is too small in this photo."),
                gettext("Use a larger scan or a closer photo.")
            ],
            no_surface: [
                gettext("The shape of the head could not be found in this photo."),
                gettext("Try another photo.")
            ],
            asset_missing: [
                gettext("A model file is missing."),
                gettext("Fetch the model files with the button at the top of this page.")
            ],
            asset_unreachable: [
                gettext("The model files could not be fetched."),
                gettext("Check the connection to the internet and try again.")
            ],
            asset_corrupt: [
                gettext("The fetched model file is damaged."),
                gettext("Please try again.")
            ],
            weights_invalid: [
                gettext("The weights of the network cannot be read."),
                gettext("Install the plugin again.")
            ],
            weights_missing: [
                gettext("The weights of the network cannot be read."),
                gettext("Install the plugin again.")
            ],
            empty_head: [
                gettext("The shape of the head could not be found in this photo."),
                gettext("Try another photo.")
            ],
            not_manifold: [
                gettext("The sculpture does not form a closed body."),
                gettext("Try another photo.")
            ],
            engine_missing: [
                gettext("The slicer is not installed."),
                gettext("Install it as described at the top of this page, then try again.")
            ],
            engine_version: [
                gettext("This version of the slicer is not supported."),
                gettext("Install PrusaSlicer 2.4 to 2.9, or CuraEngine 4.13 to 5.")
            ],
            definitions_missing: [
                gettext("The printer definitions of Cura are not installed."),
                gettext("Install them, or choose another slicer.")
            ],
            definitions_mismatch: [
                gettext("The printer definitions of Cura do not fit its version."),
                gettext("Install them again, or choose another slicer.")
            ],
            slicer_failed: [
                gettext("The sculpture could not be prepared for printing."),
                gettext("Try another height or another print profile.")
            ],
            // All of gcode_…: what is wrong in detail is in the log.
            gcode: [
                gettext("The prepared print did not pass the safety check."),
                gettext("Try another print profile.")
            ],
            model_invalid: [
                gettext("The sculpture could not be prepared for printing."),
                gettext("Try another height or another print profile.")
            ],
            model_empty: [gettext("The sculpture is empty."), gettext("Try another photo.")],
            model_open: [gettext("The sculpture does not form a closed body."), gettext("Try another photo.")],
            settings_changed: [
                gettext("The slicer did not accept the print profile."),
                gettext("Try another print profile.")
            ],
            profile_protected: [
                gettext("This is a preset, which stays as it is."),
                gettext("Make a copy of it and change that.")
            ],
            target_impossible: [
                gettext("This time or amount of filament is not possible."),
                gettext("Choose another one.")
            ],
            face_invalid: [
                gettext("It is not known where the face of this sculpture is."),
                gettext("Make the sculpture again.")
            ],
            index_invalid: [
                gettext("The layers of this print are not known."),
                gettext("Prepare the print again, with “Change”.")
            ],
            layer_unknown: [gettext("This layer is not there."), gettext("Reload the page.")],
            face_choice: [gettext("This face is not in the photo."), gettext("Choose the face that is meant.")],
            output_unwritable: [
                gettext("Nothing can be written into the folder of FaceSculpt."),
                gettext("Look whether the disk is full, or into octoprint.log.")
            ],
            too_large: [
                gettext("The sculpture is too large for the printer."),
                gettext("Choose a smaller height.")
            ],
            disk_full: [
                gettext("There is not enough space left on this computer."),
                gettext("Delete some files and try again.")
            ],
            out_of_memory: [
                gettext("This computer does not have enough memory for this."),
                gettext("Use a computer with more memory.")
            ],
            detail_out_of_range: [gettext("So much detail is not possible."), gettext("Choose less.")],
            height_out_of_range: [gettext("This height is not possible."), gettext("Choose another height.")],
            profile_unknown: [
                gettext("The print profile is not installed."),
                gettext("Choose another print profile.")
            ],
            profile_invalid: [
                gettext("This profile or setting cannot be used."),
                gettext("Mend it, or choose another one.")
            ],
            not_started: [gettext("The work could not be started."), gettext("Look into octoprint.log.")],
            internal_error: [gettext("The work ended unexpectedly."), gettext("Please try again.")],
            timed_out: [gettext("This took too long and was stopped."), gettext("Please try again.")],
            crashed: [gettext("The work ended unexpectedly."), gettext("Please try again.")],
            photo_too_large: [
                gettext("The picture is too large."),
                gettext("Save a smaller copy of the picture and use that.")
            ],
            not_sliced: [
                gettext("This sculpture is not ready for printing yet."),
                gettext("Wait until it is finished.")
            ],
            not_ready: [
                gettext("The printer is not connected or not ready."),
                gettext("Connect the printer first.")
            ],
            not_confirmed: [gettext("Nobody has confirmed this."), gettext("Look at the printer, then confirm.")],
            point_unsafe: [
                gettext("This place is too far from where the print stopped."),
                gettext("Choose a nearer one.")
            ],
            height_disagrees: [
                gettext("The measured height does not fit what was printed."),
                gettext("Measure again before going on.")
            ],
            state_changed: [
                gettext("Meanwhile this has changed, perhaps in another browser."),
                gettext("Look at it again, then decide.")
            ],
            not_chosen: [
                gettext("It is not certain at which height the nozzle stopped."),
                gettext("Measure it, or say in which layer it stopped.")
            ],
            choice_invalid: [gettext("This is not one of the choices."), gettext("Look at it again, then decide.")],
            height_invalid: [
                gettext("The measured height does not fit what was printed."),
                gettext("Measure again before going on.")
            ],
            line_invalid: [
                gettext("This place is too far from where the print stopped."),
                gettext("Choose a nearer one.")
            ],
            too_cold: [gettext("The nozzle still sticks to the print."), gettext("Wait until it is warm.")],
            printer_changed: [
                gettext("The printer or its profile is not the one that the print was begun with."),
                gettext("Look at the printer again, or choose the old profile.")
            ],
            not_held: [gettext("This line has not been held back."), gettext("Send it from the terminal first.")],
            nothing_to_recover: [gettext("There is nothing to do here any more."), gettext("Reload the page.")],
            file_changed: [
                gettext("The print's file has changed since the print was interrupted."),
                gettext("Put the old file back, or give the print up.")
            ],
            queued: [gettext("This sculpture waits in the queue."), gettext("Take it out of the queue first.")],
            not_waiting: [gettext("This does not wait in the queue any more."), gettext("Queue the sculpture again.")],
            profiles_busy: [gettext("Another profile is being read or changed."), gettext("Please try again.")],
            export_busy: [gettext("The file is being written already."), gettext("Please try again.")],
            layers_busy: [gettext("Other layers are being drawn."), gettext("Please try again.")],
            to_be_recovered: [
                gettext("An interrupted print may still go on."),
                gettext("Go on with that print first, or give it up.")
            ],
            busy: [gettext("The printer is printing."), gettext("Wait until the print has ended, or cancel it.")],
            rehearsal_going_on: [gettext("A rehearsal is under way."), gettext("End it first.")],
            file_missing: [
                gettext("The print file was deleted."),
                gettext("Upload it again, or prepare the print again, with “Change”.")
            ],
            not_found: [gettext("This is not there any more."), gettext("Reload the page.")],
            no_file: [gettext("The photo did not arrive."), gettext("Please try again.")],
            photo_not_ready: [
                gettext("This photo cannot be used, or has not been checked yet."),
                gettext("Choose another photo.")
            ],
            bed_not_clear: [gettext("Nobody has confirmed that the bed is clear."), gettext("Look, then confirm.")],
            not_running: [gettext("There is nothing to cancel any more."), gettext("Reload the page.")],
            not_stopped: [gettext("This is in the making already."), gettext("Wait until it is finished, or cancel it.")],
            database_newer: [
                gettext("The database is of a newer version of FaceSculpt."),
                gettext("Update the plugin, or move the database away and start OctoPrint again.")
            ],
            database_unreadable: [
                gettext("The database of FaceSculpt cannot be opened."),
                gettext("Look whether the disk is full, or into octoprint.log.")
            ],
            forbidden: notPermitted,
            cancelled: [gettext("This was cancelled."), ""]
        };

        // Sentences of the server that carry no code, or say more than their code.
        const messages = {
            "Waits until the print is finished": gettext("Waits until the running print has ended, so as not to disturb it"),
            "The print had not begun to move.": gettext("The print had not begun to move."),
            "Nothing had been printed yet.": gettext("Nothing had been printed yet."),
            "Nothing of the model had been printed yet.": gettext("Nothing of the model had been printed yet."),
            "The file had not heated the nozzle yet.": gettext("The file had not heated the nozzle yet."),
            "There is no room left to lift the nozzle.": gettext("There is no room left to lift the nozzle."),
            "The print leaves no free corner to prime the nozzle.": gettext("The print leaves no free corner to prime the nozzle."),
            "This file has no layers to rehearse with.": gettext("This file has no layers to rehearse with."),
            "This file makes no moves there.": gettext("This file makes no moves there."),
            "There is no G-code to rehearse with.": gettext("There is no G-code to rehearse with."),
            "Select a file first.": gettext("Select a file first."),
            "This printer's Z axis is not supported.": gettext("This printer’s Z axis is not supported."),
            "Measure its height by hand.": gettext("Finish this print by hand."),
            "Clear the bed and start again.": gettext("Clear the bed and start the print again."),
            "Clear the bed and start the print again.": gettext("Clear the bed and start the print again."),
            "Start it again.": gettext("Clear the bed and start the print again."),
            "Start the print again.": gettext("Clear the bed and start the print again."),
            "Finish this print by hand.": gettext("Finish this print by hand."),
            "Prime it by hand.": gettext("Finish this print by hand."),
            "Choose another file.": gettext("Choose another file.")
        };

        self.message = (text) => messages[text] || text;

        /** {code, message, hint} of the server in the reader's language. */
        self.ofError = (error) => {
            const known = errors[/^gcode_/.test(error.code) ? "gcode" : error.code];
            // Which setting it is that has no place there only the server knows.
            const which = error.code === "profile_invalid" && error.message ? " " + self.message(error.message) : "";
            return {
                message:
                    messages[error.message] || (known ? known[0] + which : error.message || gettext("Something went wrong.")),
                hint: messages[error.hint] || (known ? known[1] : error.hint || "")
            };
        };

        const parsed = (text) => {
            try {
                return JSON.parse(text);
            } catch (error) {
                return undefined;
            }
        };

        /** A failed request as {message, hint}. */
        self.ofRequest = (request) => {
            const answer = (request && (request.responseJSON || parsed(request.responseText))) || {};
            const error = _.isObject(answer.error) ? answer.error : answer;
            if (error.code || error.message) return self.ofError(error);
            if (_.isString(answer.error)) return {message: answer.error, hint: ""};
            if (request && request.status === 403) return self.ofError({code: "forbidden"});
            return {
                message: gettext("OctoPrint does not answer."),
                hint: gettext("Check the connection and try again.")
            };
        };
    }

    OCTOPRINT_VIEWMODELS.push({construct: FacesculptErrorsViewModel, dependencies: [], elements: []});
});

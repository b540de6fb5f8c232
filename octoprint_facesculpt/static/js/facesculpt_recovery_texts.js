/* What a recovery's figures and codes mean, as sentences in the reader's language. */
$(function () {
    function FacesculptRecoveryTextsViewModel(parameters) {
        const self = this;
        const texts = parameters[0];
        const mm = (value, digits) => texts.number(value, digits === undefined ? 2 : digits);

        self.steps = {
            look: gettext("Look"),
            point: gettext("Place"),
            height: gettext("Height"),
            heat: gettext("Heat"),
            clean: gettext("Clean"),
            go: gettext("Go on")
        };

        const kinds = {
            host: gettext("OctoPrint stopped; the printer had power and finished the lines it had been given."),
            printer: gettext("The printer stopped; OctoPrint went on running."),
            both: gettext("The printer lost its power."),
            supply: gettext("The printer's power supply stopped, while USB kept its board awake."),
            cable: gettext("The connection to the printer was lost; the printer had power."),
            restart: gettext("OctoPrint was shut down during the print.")
        };
        const phases = {
            heat: gettext("while it was heating up"),
            lift: gettext("while the nozzle was being lifted"),
            home: gettext("while X and Y were being homed"),
            prime: gettext("while the nozzle was being filled"),
            modes: gettext("while the settings were being restored"),
            approach: gettext("on the way back to the print"),
            go: gettext("at the very place")
        };
        const risks = {
            adhesion: gettext("A bed that has cooled may have let go of the print: look, and touch."),
            force_move: gettext("Klipper must allow SET_KINEMATIC_POSITION: [force_move] with enable_force_move in its configuration."),
            levelling: gettext("Bed levelling is switched on again: watch the first lines."),
            filament_change: gettext("The nozzle had been moved away for a pause or a change of filament: look which filament is in."),
            moved: gettext("The nozzle has been moved since the print was interrupted: its height must be measured."),
            bed_clear: gettext("The print begins anew: the bed must be clear.")
        };
        //: Reasons of the plan's lines, by the phase they belong to.
        const reasons = {
            heat: gettext("The bed first, or the print lets go; the nozzle just warm enough to come off, too cold to ooze."),
            lift: gettext("Off the print; the height comes from the journal, Z is never homed."),
            home: gettext("X and Y only: motors that wake up jump a little, homing takes that away."),
            prime: gettext("In a free corner of the bed: printing temperature, and the nozzle is filled again."),
            modes: gettext("Everything as the print had set it."),
            approach: gettext("High above the print, then down to the layer."),
            go: gettext("The rest of the interrupted line, and the extruder as the file counts it.")
        };
        // English readers get the plan's own reasons, which are more exact.
        const translated = () => (window.LOCALE || "en") !== "en";

        self.what = (plan) => (plan.again ? "" : kinds[plan.outage.kind] || (plan.outage.reasons || []).join(" "));

        /** What an interrupted resume is told about; empty when the print itself was interrupted. */
        self.again = (plan) => {
            if (!plan.again) return "";
            const [phase, why] = plan.again;
            const text =
                why === "stopped"
                    ? gettext("The resume was stopped, %(when)s. Nothing is lost: it begins anew from there.")
                    : gettext("The resume itself was interrupted, %(when)s. Nothing is lost: it begins anew from there.");
            return _.sprintf(text, {when: phases[phase] || phases.heat});
        };

        self.when = (stood) => {
            if (!stood) return "";
            const duration = texts.duration(stood.seconds);
            if (stood.at_least) return _.sprintf(gettext("Unknown; at least %(duration)s ago"), {duration: duration});
            if (stood.since === null) return _.sprintf(gettext("%(duration)s ago"), {duration: duration});
            const moment = new Date(1000 * stood.since).toLocaleString();
            return _.sprintf(gettext("%(duration)s ago (%(moment)s)"), {duration: duration, moment: moment});
        };
        self.whenWhy = (stood) =>
            stood && stood.at_least
                ? gettext("This computer has been on again for so long; its clock cannot tell how long it was off.")
                : "";

        self.where = (plan) => {
            if (plan.kind === "restart") return gettext("Nothing of the model had been printed yet: it begins anew.");
            if (plan.kind === "finish") return gettext("All of the model is printed; only the end of the file is left.");
            return _.sprintf(gettext("Layer %(layer)d of %(layers)d, height %(height)s mm, %(percent)s %% printed"), {
                layer: plan.layer,
                layers: plan.layers,
                height: mm(plan.plan.point[2]),
                percent: mm(plan.percent, 1)
            });
        };
        self.accuracy = (plan) =>
            plan.kind === "resume"
                ? _.sprintf(gettext("At most %(gap)s mm of its path are left out, or %(overlap)s mm printed twice."), {
                      gap: mm(plan.plan.gap_mm, 1),
                      overlap: mm(plan.plan.overlap_mm, 1)
                  })
                : "";

        const undecided = (height) => !!height && height.kind === "undecided";

        /** The layers it may have stopped in, when somebody must say in which; after a measurement that does not tell, those that fit it. */
        self.layerChoices = (plan, height) => {
            if (!plan.asks || plan.stop.choices.length < 2) return [];
            const found = plan.stop.choices.map((one, number) => ({
                number: number,
                layer: one.layer,
                text: undecided(height)
                    ? _.sprintf(gettext("Layer %(layer)d"), {layer: one.layer})
                    : _.sprintf(gettext("Layer %(layer)d, %(height)s mm"), {layer: one.layer, height: mm(one.z)})
            }));
            return undecided(height) ? _.uniq(found.filter((one) => _.contains(height.layers, one.layer)), "layer") : found;
        };
        self.heightQuestion = (plan, height) => {
            if (!plan.asks) return "";
            if (plan.stop.moved)
                return undecided(height)
                    ? gettext("The nozzle has been moved, so that its height does not tell in which layer it stopped. Look at the print, and say which layer is not finished; in doubt, the lower one.")
                    : gettext("The nozzle has been moved since the print was interrupted: measure how high it is now.");
            if (undecided(height))
                return _.sprintf(
                    gettext(
                        "At %(height)s mm it can have stopped in more than one layer: within a layer the nozzle is lifted, too. Look at the print, and say which layer is not finished; in doubt, the lower one."
                    ),
                    {height: mm(height.measured)}
                );
            return plan.stop.choices.length > 1
                ? gettext("A layer change fell into the outage: measure, or say in which layer it stopped.")
                : _.sprintf(gettext("The nozzle is somewhere between %(low)s and %(high)s mm: it must be measured."), {
                      low: mm(plan.stop.z),
                      high: mm(plan.stop.z + plan.stop.z_spread)
                  });
        };
        self.cutText = (plan) =>
            _.sprintf(gettext("The sculpture as it stands on the bed, printed up to %(height)s mm"), {
                height: mm(plan.plan.point[2])
            });
        self.layerText = (plan) =>
            _.sprintf(gettext("Layer %(layer)d from above, at %(height)s mm"), {
                layer: plan.layer,
                height: mm(plan.plan.point[2])
            });

        const degrees = (value) => (_.isNumber(value) ? Math.round(value) + " °C" : gettext("unknown"));
        self.temperatures = (targets, bed, nozzle) =>
            _.sprintf(gettext("Bed %(bed)s (%(bedTarget)s while printing), nozzle %(nozzle)s (%(nozzleTarget)s)"), {
                bed: degrees(bed),
                nozzle: degrees(nozzle),
                bedTarget: degrees(targets.bed),
                nozzleTarget: degrees(targets.nozzle)
            });

        self.risks = (plan, bed) => {
            const spread = mm(plan.stop.z_spread);
            const height = _.sprintf(gettext("The nozzle may be up to %(spread)s mm higher than assumed."), {spread: spread});
            const found = plan.plan.risks.map((risk) =>
                risk.code === "z_uncertain" ? height : risks[risk.code] || risk.message
            );
            if (_.isNumber(bed) && plan.targets.bed && bed < plan.targets.bed - 15)
                found.unshift(
                    _.sprintf(gettext("The bed has cooled from %(before)s to %(now)s."), {
                        before: degrees(plan.targets.bed),
                        now: degrees(bed)
                    })
                );
            return found;
        };

        const printer = (profile) =>
            [
                profile.name,
                (profile.bed || "").replace("@", " @ "),
                mm(profile.nozzle) + " mm",
                profile.extruders > 1 ? "× " + profile.extruders : "",
                profile.firmware
            ]
                .filter(Boolean)
                .join(", ");
        /** What somebody must know that is not the plan's. */
        self.notes = (notes) =>
            notes.map((note) =>
                note.code === "unguarded"
                    ? gettext("OctoPrint has been running without this plugin. Look whether this print is still on the bed, and nothing else; the nozzle's height must be measured.")
                    : _.sprintf(
                          gettext("The print was begun with the printer profile “%(then)s”; now it is “%(now)s”. Go on only if it is the same printer, with this print on its bed."),
                          {then: printer(note.then), now: printer(note.now)}
                      )
            );

        self.chosen = (choice) => {
            const signed = (count) => ({count: (count > 0 ? "+" : "−") + Math.abs(count)});
            const parts = [];
            if (choice.layers) parts.push(_.sprintf(gettext("layers %(count)s"), signed(choice.layers)));
            if (choice.moves) parts.push(_.sprintf(gettext("moves %(count)s"), signed(choice.moves)));
            return parts.length
                ? _.sprintf(gettext("From the likeliest place: %(shift)s"), {shift: parts.join(", ")})
                : gettext("The likeliest place");
        };

        self.heightWrong = (height) => {
            if (!height || height.kind !== "disagrees") return "";
            const text =
                height.off > 0
                    ? gettext("You measured %(measured)s mm, the journal says %(expected)s mm: %(off)s mm too high.")
                    : gettext("You measured %(measured)s mm, the journal says %(expected)s mm: %(off)s mm too low.");
            return _.sprintf(text, {
                measured: mm(height.measured),
                expected: mm(height.expected),
                off: mm(Math.abs(height.off))
            });
        };
        self.heightResult = (height) => {
            if (!height) return "";
            if (height.kind === "chosen") return gettext("You have said in which layer it stopped.");
            if (height.kind === "trusted") return gettext("The height is the journal’s; it was not measured.");
            const values = {measured: mm(height.measured), expected: mm(height.expected)};
            if (height.moved) return _.sprintf(gettext("Measured %(measured)s mm; the nozzle had been moved."), values);
            return height.kind === "decides"
                ? _.sprintf(gettext("Measured %(measured)s mm: it stopped at %(expected)s mm."), values)
                : _.sprintf(gettext("Measured %(measured)s mm; that fits the journal’s %(expected)s mm."), values);
        };

        self.heat = (plan) => {
            const soft = plan.plan.steps.filter((step) => /^M104/.test(step.line)).map((step) => step.line.split("S")[1])[0];
            const values = {bed: degrees(plan.targets.bed), nozzle: degrees(Number(soft)), printing: degrees(plan.targets.nozzle)};
            const now = _.sprintf(
                gettext("The bed heats to %(bed)s, the nozzle to %(nozzle)s: warm enough to come off the print, too cold to ooze. Nothing moves."),
                values
            );
            if (plan.kind !== "resume") return now;
            const later = gettext("The print then goes on at %(printing)s, as before. If another filament is in the printer, change that in OctoPrint once it prints.");
            return now + " " + _.sprintf(later, values);
        };
        self.heaters = (heating) =>
            heating
                ? [
                      [gettext("Bed"), heating.bed],
                      [gettext("Nozzle"), heating.nozzle]
                  ]
                      .filter(([, heater]) => heater.target > 0)
                      .map(([name, heater]) => ({
                          name: name,
                          there: heater.there,
                          stuck: heater.stuck,
                          percent: heater.there ? 100 : texts.percent((heater.actual || 0) / heater.target),
                          text: _.sprintf(gettext("%(now)s of %(target)s"), {
                              now: degrees(heater.actual),
                              target: degrees(heater.target)
                          })
                      }))
                : [];

        self.reason = (step) => (translated() ? reasons[step.phase] || step.reason : step.reason);
        self.progress = (steps, step) => {
            if (step >= steps.length) return gettext("The print goes on. You can close this page.");
            const now = steps[Math.max(step, 0)];
            return _.sprintf(gettext("Line %(number)d of %(count)d: %(reason)s"), {
                number: Math.max(step, 0) + 1,
                count: steps.length,
                reason: self.reason(now)
            });
        };

        self.verdict = (verdict) => ({
            ok: !verdict.collisions && verdict.layer_right,
            text: verdict.collisions
                ? _.sprintf(gettext("The nozzle would have met the print %(count)d times. Do not resume this file; report it."), {
                      count: verdict.collisions
                  })
                : _.sprintf(
                      gettext("Nothing was touched. It went on in layer %(layer)d at %(height)s mm; %(gap)s mm of path left out, %(overlap)s mm printed twice."),
                      {
                          layer: verdict.layer,
                          height: mm(verdict.height),
                          gap: mm(verdict.gap_mm, 1),
                          overlap: mm(verdict.overlap_mm, 1)
                      }
                  )
        });
    }

    OCTOPRINT_VIEWMODELS.push({
        construct: FacesculptRecoveryTextsViewModel,
        dependencies: ["facesculptTextsViewModel"],
        elements: []
    });
});

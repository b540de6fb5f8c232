/* A print that an outage interrupted: what happened, where it stands, and how it goes on. */
$(function () {
    function FacesculptRecoveryViewModel(parameters) {
        const self = this;
        const shared = (self.shared = parameters[0]);
        const texts = shared.texts;

        const kinds = {
            host: gettext("OctoPrint stopped; the printer had power and finished the lines it had been given."),
            printer: gettext("The printer stopped; OctoPrint went on running."),
            both: gettext("The printer lost its power."),
            supply: gettext("The printer's power supply stopped, while USB kept its board awake."),
            cable: gettext("The connection to the printer was lost; the printer had power."),
            restart: gettext("OctoPrint was shut down during the print.")
        };
        const risks = {
            adhesion: gettext("A bed that has cooled may have let go of the print: look, and touch."),
            levelling: gettext("Bed levelling is switched on again: watch the first lines.")
        };

        const status = ko.observable({state: "idle", held_back: []});
        self.state = ko.pureComputed(() => status().state);
        self.visible = ko.pureComputed(() => shared.mayView() && self.state() !== "idle");
        self.mayRecover = ko.pureComputed(() => shared.permitted("RECOVER"));
        self.plan = ko.pureComputed(() => status().plan);
        self.error = ko.pureComputed(() => texts.ofError(status().error || {}));
        self.heldBack = ko.pureComputed(() => status().held_back || []);
        self.title = ko.pureComputed(() =>
            _.sprintf(
                self.state() === "running"
                    ? gettext("“%(path)s” goes on after an interruption")
                    : gettext("“%(path)s” was interrupted"),
                {path: status().path || ""}
            )
        );
        self.what = ko.pureComputed(() => (self.plan() ? kinds[self.plan().outage.kind] || "" : ""));
        self.when = ko.pureComputed(() => {
            const seconds = self.plan() && self.plan().outage.seconds;
            if (_.isFinite(seconds) && seconds !== null)
                return _.sprintf(gettext("It lasted %(duration)s so far."), {duration: texts.duration(seconds)});
            if (!status().interrupted_wall) return "";
            const moment = new Date(1000 * status().interrupted_wall).toLocaleString();
            return _.sprintf(gettext("Last sign of it by OctoPrint's clock: %(moment)s. That clock may have been wrong."), {
                moment: moment
            });
        });
        self.where = ko.pureComputed(() => {
            const plan = self.plan();
            if (!plan) return "";
            return _.sprintf(gettext("It stopped in layer %(layer)d of %(layers)d, at a height of %(height)s mm."), {
                layer: plan.layer,
                layers: plan.layers,
                height: texts.number(plan.plan.point[2], 2)
            });
        });
        self.accuracy = ko.pureComputed(() => {
            const plan = self.plan();
            if (!plan) return "";
            return _.sprintf(gettext("At most %(gap)s mm of its path are left out, or %(overlap)s mm printed twice."), {
                gap: texts.number(plan.plan.gap_mm, 1),
                overlap: texts.number(plan.plan.overlap_mm, 1)
            });
        });
        self.steps = ko.pureComputed(() => (self.plan() ? self.plan().plan.steps : []));
        self.risks = ko.pureComputed(() => {
            const plan = self.plan();
            if (!plan) return [];
            const spread = texts.number(plan.stop.z_spread, 2);
            const height = _.sprintf(gettext("The nozzle may be up to %(spread)s mm higher than assumed."), {spread: spread});
            return plan.plan.risks.map((risk) => (risk.code === "z_uncertain" ? height : risks[risk.code] || risk.message));
        });
        self.canResume = ko.pureComputed(() => self.state() === "ready" && !shared.printerNotReady());

        const send = (command, confirmed) =>
            OctoPrint.plugins.facesculpt
                .recover(command, confirmed)
                .done(status)
                .fail(shared.complain(gettext("This did not work")));
        self.planAgain = () => send("plan", false);
        self.resume = () =>
            shared.confirm(
                gettext("Go on with this print?"),
                gettext(
                    "Look at the printer first: the print stands firmly on the bed, nothing lies on it, and nobody has moved the nozzle up or down by hand. The bed and the nozzle heat up, the nozzle is lifted and X and Y are homed; Z is not."
                ),
                gettext("I have looked: go on"),
                () => send("resume", true)
            );
        self.dismiss = () =>
            shared.confirm(
                gettext("Give this print up?"),
                gettext("It cannot be gone on with afterwards. Clear the bed before Z is homed again."),
                gettext("Give it up"),
                () => send("dismiss", true)
            );

        self.refresh = () => {
            if (!shared.mayView()) return status({state: "idle", held_back: []});
            return OctoPrint.plugins.facesculpt.recovery().done(status);
        };
        shared.follow(self, {recovery: status});
    }

    OCTOPRINT_VIEWMODELS.push({
        construct: FacesculptRecoveryViewModel,
        dependencies: ["facesculptViewModel"],
        elements: ["#facesculpt_recovery"]
    });
});

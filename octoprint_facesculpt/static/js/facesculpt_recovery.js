/*
 * A print that an outage interrupted: what happened, where it stands, and the way on, question by question. Everything that
 * was answered lies on the server: any browser may go on where another one stopped. A rehearsal looks the same.
 */
$(function () {
    function FacesculptRecoveryViewModel(parameters) {
        const self = this;
        const shared = (self.shared = parameters[0]);
        const told = parameters[1];
        const temperature = parameters[2];
        const api = () => OctoPrint.plugins.facesculpt;
        const idle = {state: "idle", held_back: []};

        //~~ What the server says

        const real = ko.observable(idle);
        const rehearsal = ko.observable(idle);
        /** Answers and messages may overtake each other: what is older than what is shown is dropped. */
        const newest = (shown) => (now) => {
            const [teller, count] = now.told || [];
            const [before, last] = shown.peek().told || [];
            if (teller !== before || count > last) shown(now);
        };
        const takeReal = newest(real);
        const takeRehearsal = newest(rehearsal);
        self.drill = ko.pureComputed(() => real().state === "idle" && rehearsal().state !== "idle");
        const status = ko.pureComputed(() => (self.drill() ? rehearsal() : real()));
        self.state = ko.pureComputed(() => status().state);
        self.visible = ko.pureComputed(() => shared.mayView() && self.state() !== "idle");
        self.mayRecover = ko.pureComputed(() => shared.permitted("RECOVER"));
        self.plan = ko.pureComputed(() => status().plan);
        self.answers = ko.pureComputed(() => status().answers || {question: "intro", wanted: {layers: 0, moves: 0}});
        self.question = ko.pureComputed(() => self.answers().question);
        self.error = ko.pureComputed(() => shared.errors.ofError(status().error || {}));

        self.title = ko.pureComputed(() =>
            _.sprintf(
                self.state() === "running" || self.state() === "finished"
                    ? gettext("“%(path)s” goes on after an interruption")
                    : gettext("“%(path)s” was interrupted"),
                {path: status().name || status().path || ""}
            )
        );
        const ofPlan = (read) => ko.pureComputed(() => (self.plan() ? read(self.plan(), status()) : ""));
        self.what = ofPlan((plan) => told.what(plan));
        self.again = ofPlan((plan) => told.again(plan));
        self.when = ofPlan((plan, now) => told.when(now.stood));
        self.whenWhy = ofPlan((plan, now) => told.whenWhy(now.stood));
        self.where = ofPlan((plan) => told.where(plan));
        self.accuracy = ofPlan((plan) => told.accuracy(plan));
        self.risks = ko.pureComputed(() =>
            self.plan() ? told.notes(status().notes || []).concat(told.risks(self.plan(), self.bedNow())) : []
        );

        const reading = (heater, name) => {
            const seen = (status().seen || {})[name];
            const now = self.drill() || !shared.printerState.isOperational() ? null : heater && heater.actual();
            return _.isNumber(now) ? now : _.isNumber(seen) ? seen : null;
        };
        self.bedNow = ko.pureComputed(() => reading(temperature.bedTemp, "bed"));
        self.nozzleNow = ko.pureComputed(() => reading(temperature.tools()[0], "nozzle"));
        self.temperatures = ofPlan((plan) => told.temperatures(plan.targets, self.bedNow(), self.nozzleNow()));

        const url = (name) =>
            ko.pureComputed(() => {
                const mark = (status().pictures || {})[name];
                return mark ? api().recoveryPicture(name, mark, self.drill()) : "";
            });
        self.layerPicture = url("layer");
        self.closePicture = url("close");
        const cut = url("cut");
        self.overview = ko.pureComputed(() => cut() || self.layerPicture());
        self.overviewText = ofPlan((plan) =>
            cut() ? told.cutText(plan) : told.layerText(plan)
        );
        self.layerText = ofPlan((plan) => told.layerText(plan));
        self.exportUrl = ko.pureComputed(() => api().recoveryExport());

        self.isRestart = ko.pureComputed(() => !!self.plan() && self.plan().kind === "restart");
        self.settled = ko.pureComputed(
            () => self.state() === "running" && !!self.plan() && status().step >= self.plan().plan.steps.length
        );
        self.lines = ko.pureComputed(() =>
            ((self.plan() || {plan: {steps: []}}).plan.steps || []).map((step, number) => ({
                line: step.line,
                reason: told.reason(step),
                done: number <= status().step
            }))
        );
        self.progressText = ofPlan((plan, now) => told.progress(plan.plan.steps, now.step));
        self.held = ko.pureComputed(() =>
            (status().held_back || []).map((line) => ({
                line: line === "a print" ? gettext("another print") : line,
                sendable: line !== "a print" && !self.drill()
            }))
        );
        self.log = ko.pureComputed(() => status().log || []);
        self.verdict = ko.pureComputed(() => (status().verdict ? told.verdict(status().verdict) : null));

        //~~ The way, step by step

        const names = told.steps;
        const place = ko.pureComputed(() => {
            if (["heating", "preparing"].includes(self.state())) return "heat";
            if (self.state() === "cleaning") return "clean";
            return self.question();
        });
        self.inSteps = ko.pureComputed(
            () =>
                ["heating", "preparing", "cleaning"].includes(self.state()) ||
                (["ready", "planning"].includes(self.state()) && self.question() !== "intro" && !self.isRestart())
        );
        self.walk = ko.pureComputed(() => {
            const keys = Object.keys(names);
            const now = keys.indexOf(place());
            return keys.map((key, number) => ({name: names[key], now: number === now, past: number < now}));
        });

        /** Sends a command with what the user saw: a browser that shows something older is refused. */
        const send = (command, more) => order(_.extend({command: command, revision: status().revision}, more));
        const order = (what) =>
            api()
                .recover(_.extend(what, self.drill() ? {drill: true} : {}))
                .done(self._take)
                .fail((request) => {
                    shared.complain(gettext("This did not work"))(request);
                    self.refresh();
                });
        self._take = (answer) => (answer.drill ? takeRehearsal : takeReal)(answer);

        // It confirms nothing, and a plan may be made once more just then.
        self.begin = () => order({command: "begin"});
        self.back = () => send("back");
        self.stop = () => send("stop");
        self.planAgain = () => send("plan");

        self.firm = ko.observable(false);
        self.clear = ko.observable(false);
        self.untouched = ko.observable(false);
        self.looked = () => send("look", {confirmed: true});

        self.camera = ko.pureComputed(() => status().camera && !self.drill());
        self.cameraBroken = ko.observable(false);
        const taken = ko.observable(Date.now());
        self.cameraUrl = ko.pureComputed(() => api().cameraPicture(taken()));
        self.cameraFailed = () => self.cameraBroken(true);
        self.takePicture = () => {
            self.cameraBroken(false);
            taken(Date.now());
        };

        const choice = ko.pureComputed(() => self.answers().wanted);
        self.isMoved = ko.pureComputed(() => choice().layers !== 0 || choice().moves !== 0);
        const within = (value, range) => range && value >= range[0] && value <= range[1];
        self.canNudge = (layers, moves) => {
            const plan = self.plan();
            // The range of moves is that of the layer in the picture; while another one is planned it is not known.
            if (!plan || (layers && self.state() !== "ready")) return false;
            if (layers) return within(choice().layers + layers, plan.layers_range);
            return within(choice().moves + moves, plan.moves_range);
        };
        self.nudge = (layers, moves) =>
            // Several in a row: no plan need be seen in between.
            order({
                command: "point",
                layers: choice().layers + layers,
                moves: layers ? 0 : choice().moves + moves
            });
        self.resetPoint = () => order({command: "point", layers: 0, moves: 0});
        self.chosenText = ko.pureComputed(() => told.chosen(choice()));
        self.accept = () => send("accept");

        self.measured = ko.observable("");
        self.measuredNumber = ko.pureComputed(() => {
            const value = parseFloat(String(self.measured()).replace(",", "."));
            return _.isFinite(value) && value >= 0 && value <= 2000 ? value : null;
        });
        self.measure = () => send("measure", {height_mm: self.measuredNumber()}).done(() => self.measured(""));
        self.trust = () => send("trust");
        self.layerChoices = ko.pureComputed(() => (self.plan() ? told.layerChoices(self.plan(), self.answers().height) : []));
        self.mustMeasure = ko.pureComputed(() => !!self.plan() && self.plan().asks);
        self.chooseLayer = (layer) => send("layer", {choice: layer.number});
        self.heightQuestion = ofPlan((plan) => told.heightQuestion(plan, self.answers().height));
        self.heightWrong = ko.pureComputed(() => told.heightWrong(self.answers().height));
        self.heightResult = ko.pureComputed(() => told.heightResult(self.answers().height));
        self.overrule = () =>
            shared.confirm(
                gettext("Was the measurement wrong?"),
                gettext("The journal’s height is used. If it is wrong, the nozzle prints in the air or drives into the print."),
                gettext("Yes, use the journal’s height"),
                self.trust
            );

        self.notReady = ko.pureComputed(() => (self.drill() ? "" : shared.printerNotReady()));
        self.heatText = ofPlan((plan) => told.heat(plan));
        self.heat = () =>
            shared.confirm(
                gettext("Heat up?"),
                gettext("The bed and the nozzle get hot. Nothing moves yet."),
                gettext("Heat up"),
                () => send("heat", {confirmed: true})
            );
        self.heaters = ko.pureComputed(() => told.heaters(status().heating));
        self.stuck = ko.pureComputed(() => self.heaters().some((heater) => heater.stuck));
        self.isHot = ko.pureComputed(() => !!status().heating && status().heating.hot);
        self.lift = () =>
            shared.confirm(
                gettext("Lift the nozzle?"),
                gettext("The nozzle goes up by 5 mm or more, then left and to the front until it meets the end switches. Z is not homed."),
                gettext("Lift it"),
                () => send("lift", {confirmed: true})
            );
        self.resume = () => send("resume", {confirmed: true});
        self.startAnew = () =>
            shared.confirm(
                gettext("Print from the beginning?"),
                gettext("Please look at the printer: the bed must be empty and clean. It heats up, homes and prints."),
                gettext("The bed is clear, print"),
                self.resume
            );

        //~~ Giving up, insisting, going on alone

        self.dismissText = ko.pureComputed(() => (self.drill() ? gettext("End the rehearsal") : gettext("Give it up …")));
        self.dismiss = () =>
            self.drill()
                ? send("dismiss", {confirmed: true})
                : shared.confirm(
                      gettext("Give this print up?"),
                      gettext("It cannot be gone on with afterwards. Clear the bed before Z is homed again."),
                      gettext("Give it up"),
                      () => send("dismiss", {confirmed: true})
                  );
        self.allow = (held) =>
            shared.confirm(
                _.sprintf(gettext("Send %(line)s all the same?"), {line: held.line}),
                gettext("This may drive the nozzle into the print on the bed, drag the print along, or let Z sink. Nothing holds it back after this."),
                gettext("Send it"),
                () => send("allow", {line: held.line, confirmed: true})
            );

        self.aloneIn = ko.observable(null);
        self.aloneText = ko.pureComputed(() =>
            _.sprintf(gettext("The printer kept its power and is warm. The print goes on by itself in %(seconds)d s."), {
                seconds: self.aloneIn() || 0
            })
        );
        let until = null;
        status.subscribe((now) => {
            until = _.isNumber(now.alone_in) ? Date.now() + 1000 * now.alone_in : null;
            tick();
        });
        const tick = () => self.aloneIn(until === null ? null : Math.max(0, Math.round((until - Date.now()) / 1000)));
        window.setInterval(() => until !== null && tick(), 1000);

        //~~ So that it is seen and heard

        let notice = null;
        const showTab = () => {
            $("#tabs a[href='#tab_plugin_facesculpt']").tab("show");
            $("#facesculpt_recovery")[0].scrollIntoView({block: "start"});
        };
        const elsewhere = () => !$("#tab_plugin_facesculpt").hasClass("active");
        const tellOnce = ko.pureComputed(() => self.visible() && !self.drill() && self.state() !== "running");
        tellOnce.subscribe((now) => {
            if (notice) notice.remove();
            notice = null;
            if (!now || !elsewhere()) return;
            notice = new PNotify({
                title: gettext("A print was interrupted"),
                text: gettext("Do not home Z. The FaceSculpt tab tells what happened and how the print goes on."),
                hide: false,
                confirm: {
                    confirm: true,
                    buttons: [{text: gettext("Show it"), addClass: "btn-primary", click: (shown) => (showTab(), shown.remove())}, {addClass: "hidden"}]
                },
                buttons: {closer: true, sticker: false}
            });
        });
        let heldBefore = 0;
        self.held.subscribe((held) => {
            if (held.length > heldBefore) {
                const line = held[held.length - 1].line;
                new PNotify({
                    title: gettext("Held back"),
                    text: _.escape(
                        _.sprintf(gettext("“%(line)s” was not sent: it could drive the nozzle into the unfinished print, or drag it off the bed. The terminal tells more."), {line: line})
                    ),
                    type: "notice"
                });
            }
            heldBefore = held.length;
        });
        // A new step begins at its heading, for those who hear the page.
        const where = ko.pureComputed(() => self.visible() && self.inSteps() && place() + self.state().replace("planning", "ready"));
        where.subscribe((now) => {
            if (now && !elsewhere()) window.setTimeout(() => $("#facesculpt_recovery .facesculpt-walk h5").trigger("focus"), 50);
        });
        self.question.subscribe((now) => {
            if (now !== "look") [self.firm, self.clear, self.untouched].forEach((box) => box(false));
        });

        //~~ Rehearsal

        self.mayDrill = ko.pureComputed(() => self.mayRecover() && real().state === "idle" && rehearsal().state === "idle");
        self.startDrill = () =>
            api()
                .recover({command: "drill", drill: true})
                .done((answer) => {
                    self._take(answer);
                    window.setTimeout(showTab, 50);
                })
                .fail(shared.complain(gettext("The rehearsal could not begin")));

        self.refresh = () => {
            if (!shared.mayView()) return [real, rehearsal].forEach((one) => one(idle));
            return $.when(api().recovery().done(takeReal), api().recovery(true).done(takeRehearsal));
        };
        shared.follow(self, {recovery: takeReal, drill: takeRehearsal});
    }

    OCTOPRINT_VIEWMODELS.push({
        construct: FacesculptRecoveryViewModel,
        dependencies: ["facesculptViewModel", "facesculptRecoveryTextsViewModel", "temperatureViewModel"],
        elements: ["#facesculpt_recovery", "#facesculpt_rehearse"]
    });
});

/* Sculptures: their making, pictures to compare, the view that can be turned, files, and the way into the queue. */
$(function () {
    const VIEWS = ["photo", "front", "three_quarter", "profile", "contact"];
    const STAGE_ICONS = {
        waiting: "far fa-circle",
        running: "fas fa-spinner fa-pulse",
        done: "fas fa-check",
        failed: "fas fa-times",
        cancelled: "fas fa-ban"
    };

    function FacesculptSculpturesViewModel(parameters) {
        const self = this;
        const shared = (self.shared = parameters[0]);
        const texts = (self.texts = shared.texts);
        self.photos = parameters[1];
        self.queue = parameters[2];
        self.plan = parameters[3];
        self.layers = parameters[4];
        self.deleted = parameters[5];

        self.loaded = ko.observable(false);
        // One view for all cards, so that like is compared with like.
        self.view = ko.observable("three_quarter");
        self.viewed = ko.observable();
        self.viewerUrl = ko.observable("");

        const viewNames = {
            photo: gettext("Photo"),
            front: gettext("Front"),
            three_quarter: gettext("Three-quarter"),
            profile: gettext("Profile"),
            contact: gettext("What supports touch, in red")
        };

        const list = shared.keyedList((data) => new Sculpture(data), shared.newestFirst);
        self.sculptures = list.entries;

        self.firstRun = ko.pureComputed(
            () =>
                shared.mayView() &&
                self.loaded() &&
                self.photos.loaded() &&
                !self.sculptures().length &&
                !self.photos.photos().length
        );

        function Sculpture(data) {
            const sculpture = this;
            const read = shared.readable;
            const files = ko.pureComputed(() => data().files || {});
            sculpture.data = data;
            sculpture.name = ko.pureComputed(() => data().name);
            sculpture.state = ko.pureComputed(() => data().state);
            sculpture.stateText = ko.pureComputed(() => texts.sculptureState(data().state));
            sculpture.inTheMaking = ko.pureComputed(() => ["waiting", "working"].includes(data().state));
            sculpture.mayRetry = ko.pureComputed(() => ["failed", "cancelled"].includes(data().state));
            sculpture.printable = ko.pureComputed(() => data().state === "ready" && !!files().gcode);
            sculpture.error = read(() => data().error && shared.errors.ofError(data().error));
            sculpture.viewer = ko.pureComputed(() => files().viewer);
            sculpture.notes = read(() =>
                (data().notes || [])
                    .filter((note) => note.severity !== "info")
                    .map((note) => ({severity: note.severity, text: texts.ofNote(note)})),
                []
            );
            sculpture.description = read(() => {
                const settings = data().settings || {};
                const style = texts.style(settings.style);
                const others = (data().others || []).length;
                const said = _.sprintf(gettext("%(style)s, %(height)s mm"), {
                    style: style,
                    height: texts.number(settings.height_mm || 0)
                });
                const more = [];
                if (settings.expression === 0) more.push(gettext("face at rest"));
                else if (settings.expression < 1) more.push(gettext("expression softened"));
                if (settings.detail > 1) more.push(gettext("strong detail"));
                else if (settings.detail > 0 && settings.detail < 1) more.push(gettext("soft detail"));
                else if (!settings.detail) more.push(gettext("smooth face"));
                if (!settings.hair) more.push(gettext("without hair"));
                if (others) more.push(_.sprintf(gettext("%(count)d photos"), {count: others + 1}));
                return [said].concat(more).join(", ");
            }, "");

            sculpture.views = read(() => {
                const photo = self.photos.photos().find((candidate) => candidate.id === data().photo);
                const urls = _.extend({photo: photo && photo.image()}, files());
                return VIEWS.filter((view) => urls[view]).map((view) => ({
                    view: view,
                    name: viewNames[view],
                    url: urls[view],
                    focus: view === "photo" ? photo.focus(data().face) : "50% 50%",
                    alt: _.sprintf(gettext("%(name)s: %(view)s"), {name: data().name, view: viewNames[view]})
                }));
            }, []);
            sculpture.picture = ko.pureComputed(() => {
                const views = sculpture.views();
                return views.find((entry) => entry.view === self.view()) || views[0];
            });

            sculpture.stages = read(() =>
                (data().stages || []).map((stage) => ({
                    name: texts.stage(stage.stage),
                    state: stage.state,
                    icon: STAGE_ICONS[stage.state] || "far fa-circle",
                    stateText: texts.stageState(stage.state),
                    percent: texts.percent(stage.progress),
                    detail:
                        stage.state === "done" && stage.seconds
                            ? texts.duration(stage.seconds)
                            : stage.state === "waiting"
                              ? shared.errors.message(stage.message || "")
                              : ""
                })),
                []
            );

            sculpture.estimates = read(() => texts.estimates(data().estimates), []);
            sculpture.warnings = read(() => (((data().estimates || {}).plan || {}).warnings || []).map(texts.warning), []);
            // What was asked for, or what was found best.
            sculpture.pose = read(() => {
                const asked = (data().settings || {}).orientation;
                return asked === "auto" ? ((data().poses || [])[0] || {}).pose : asked;
            });
            // Poses are compared by rough times, which tell how one differs from the other. What the chosen one really takes
            // is known when it is sliced.
            sculpture.poses = read(() => {
                const poses = data().poses || [];
                const chosen = poses.find((pose) => pose.pose === sculpture.pose());
                const real = (data().estimates || {}).seconds;
                const share = chosen && chosen.seconds > 0 && real > 0 ? real / chosen.seconds : 1;
                return poses.map((pose) => texts.pose(pose, share));
            }, []);
            sculpture.layered = ko.pureComputed(() => !!files().index && !!files().gcode && !sculpture.inTheMaking());
            sculpture.mayPlan = ko.pureComputed(() => !sculpture.inTheMaking());

            sculpture.downloads = read(() =>
                [
                    ["stl", "STL"],
                    ["3mf", "3MF"],
                    ["glb", "GLB"],
                    ["gcode", "G-code"]
                ]
                    .filter(([key]) => files()[key])
                    .map(([key, label]) => ({
                        label: label,
                        url: files()[key],
                        title: _.sprintf(gettext("Download “%(name)s” as %(format)s"), {
                            name: data().name,
                            format: label
                        })
                    })),
                []
            );
        }

        self.show = (entry) => self.view(entry.view);

        //~~ The view that can be turned; loaded when asked for and dropped when closed, so that it costs nothing otherwise.

        self.openViewer = (sculpture) => {
            self.viewed(sculpture);
            self.viewerUrl(sculpture.viewer());
            shared.openDialog($("#facesculpt_viewer"));
        };

        self.onStartup = () => {
            $("#facesculpt_viewer").on("hidden", () => self.viewerUrl(""));
        };

        //~~ Actions

        self.cancel = (sculpture) =>
            OctoPrint.plugins.facesculpt
                .cancelSculpture(sculpture.id)
                .fail(shared.complain(gettext("This could not be cancelled")));

        self.retry = (sculpture) =>
            OctoPrint.plugins.facesculpt
                .retrySculpture(sculpture.id)
                .fail(shared.complain(gettext("This could not be started again")));

        self.remove = (sculpture) => self.deleted.remove("sculptures", sculpture).done(() => list.remove(sculpture.id));

        self.planAgain = (sculpture) => self.plan.planAgain(sculpture);
        self.openLayers = (sculpture) => self.layers.open(sculpture);
        self.enqueue = (sculpture) => self.queue.add(sculpture);
        self.printNow = (sculpture) => self.queue.printSculpture(sculpture);

        //~~ Following the server

        self.put = (sculpture) => {
            const before = list.find(sculpture.id);
            const was = before && before.state();
            list.put(sculpture);
            if (!before || was === sculpture.state) return;
            if (["ready", "failed"].includes(sculpture.state))
                shared.announce(
                    _.sprintf(
                        sculpture.state === "ready"
                            ? gettext("“%(name)s” is finished.")
                            : gettext("“%(name)s” could not be made."),
                        {name: sculpture.name}
                    )
                );
            if (sculpture.state === "cancelled") shared.announce(sculpture.name + ": " + before.stateText());
        };

        /** Brings a card into view and gives it the keyboard. */
        self.focus = (id) => {
            const card = document.getElementById("facesculpt_sculpture_" + id);
            if (card) card.focus();
        };

        self.refresh = () => {
            if (!shared.mayView()) return list.replace([]);
            return list.fetch(() => OctoPrint.plugins.facesculpt.sculptures()).done(() => {
                self.loaded(true);
            });
        };

        shared.follow(self, {
            sculpture: self.put,
            sculptures: () => self.refresh(),
            // A photo takes its sculptures with it.
            photos: () => self.refresh()
        });
    }

    OCTOPRINT_VIEWMODELS.push({
        construct: FacesculptSculpturesViewModel,
        dependencies: [
            "facesculptViewModel",
            "facesculptPhotosViewModel",
            "facesculptQueueViewModel",
            "facesculptPlanViewModel",
            "facesculptLayersViewModel",
            "facesculptDeletedViewModel"
        ],
        elements: ["#facesculpt_intro", "#facesculpt_sculptures", "#facesculpt_viewer"]
    });
});
